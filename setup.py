"""circustwist: a supervisor of processes and sockets, built on Twisted."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "circustwist" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="circustwist",
    version=VERSION,
    description="A supervisor of processes and sockets, built on Twisted",
    long_description=(HERE / "README.rst").read_text(),
    long_description_content_type="text/x-rst",
    license="MIT",
    license_files=["LICENSE"],
    # The folder twisted/ has no __init__.py: its plugin joins Twisted's own
    # package, also in an editable install, for which package_dir is needed.
    packages=[*find_packages(include=["circustwist", "circustwist.*"]), "twisted.plugins"],
    package_dir={"": "."},
    package_data={"circustwist": ["py.typed"], "circustwist.web": ["static/*"]},
    python_requires=">=3.11",
    install_requires=[
        "twisted>=25.5",
        "zope.interface>=6",
        "psutil>=5.9",
        "txzmq>=1.0",
        "attrs>=23.2",
        "automat>=24.8.1",
        "click>=8.1",
    ],
    extras_require={
        "test": [
            "hypothesis>=6.100", "circus>=0.19,<0.20", "chaussette>=1.3", "gunicorn>=25", "uvicorn>=0.30",
            "setuptools>=77", "pytest>=8", "prometheus-client>=0.20", "textual>=1",
            "pyopenssl>=24.3", "service-identity>=24.1",
        ],
        "tls": ["pyopenssl>=24.3", "service-identity>=24.1"],
        "top": ["textual>=1"],
        "webstack": [
            "django>=5", "flask>=3", "fastapi>=0.110", "chaussette>=1.3", "gunicorn>=25", "uvicorn>=0.30",
            "pyuwsgi>=2.0.30",
        ],
        "lint": ["ruff>=0.17,<0.18", "mypy>=2.4,<3", "mypy-zope>=1.0.17,<2", "types-psutil>=7,<8", "twine>=6",
                 "check-wheel-contents>=0.6"],
        "docs": ["sphinx>=8,<10", "furo>=2025.9", "pydoctor>=25.10", "click-man>=0.5"],
    },
    entry_points={"console_scripts": ["circustwist = circustwist.cli.main:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: System :: Systems Administration",
        "Typing :: Typed",
    ],
)
