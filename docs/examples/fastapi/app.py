"""A FastAPI application."""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()


@app.get("/", response_class=PlainTextResponse)
async def home() -> str:
    """The only page."""
    return "hello from fastapi\n"
