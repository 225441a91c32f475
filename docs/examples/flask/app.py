"""A Flask application."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def home():
    """The only page."""
    return "hello from flask\n"
