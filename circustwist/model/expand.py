"""placeholder"""
def worker(text: str, names: dict[str, str]) -> str: return text
