"""A whole Django site in one file, with a database."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path


def home(request):
    """The only page; it asks the database."""
    from django.contrib.sessions.models import Session

    return HttpResponse(f"hello from django, {Session.objects.count()} sessions\n", content_type="text/plain")


urlpatterns = [path("", home)]
settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], INSTALLED_APPS=["django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}})
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
