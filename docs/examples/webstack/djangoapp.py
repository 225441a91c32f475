"""A whole Django site in one file."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import re_path


def answer(request):
    """The only page: says which process answers."""
    return HttpResponse(f"django from {os.getpid()}\n", content_type="text/plain")


urlpatterns = [re_path("", answer)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])
application = get_wsgi_application()
