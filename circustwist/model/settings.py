"""
What concerns a stack as a whole: the table of every option of C{[circus]}.
"""

from __future__ import annotations

import attrs

from . import values
from .option import option as _option

PUBSUB, STATS = "tcp://127.0.0.1:5556", "tcp://127.0.0.1:5557"
"""Circus's own endpoints for events and statistics."""


@attrs.frozen
class Settings:
    """The C{[circus]} section: what concerns the stack as a whole."""

    name: str = _option(
        values.name, "",
        "The stack's name, by which it is found. Without it: the ini's stem and six hex digits of its path.",
        live="restart", example="shop")
    warmup_delay: float = _option(
        values.seconds, 0.0, "Pause between the starts of two watchers.", live="now", unit="s", example="0.5")
    umask: int | None = _option(
        values.octal, None, "The umask of the supervisor and its workers; without it theirs is inherited.",
        live="restart", example="022")
    pidfile: str = _option(
        values.text, "", "File for the supervisor's pid; without it, one in the runtime directory.",
        live="restart", example="/run/shop.pid")
    logoutput: str = _option(
        values.text, "", "File for the supervisor's own log; - is the standard output, syslog://HOST:PORT?FACILITY and "
        "syslog:///PATH?FACILITY are syslog.", live="restart", example="/var/log/shop.log")
    log_format: str = _option(
        values.oneOf("text", "json"), "text", "How the supervisor's own log is written: text, or json: an object a "
        "line.", live="restart", example="json")
    loglevel: str = _option(
        values.oneOf("critical", "error", "warning", "warn", "info", "debug"), "info",
        "The least severe messages that are logged.", live="restart", example="debug")
    runtime_dir: str = _option(
        values.text, "", "Folder for the control socket, the lock and the state journal.",
        live="restart", example="/run/shop")
    control_group: str = _option(
        values.text, "", "Group whose members may reach the control socket as operators.",
        live="restart", example="ops")
    control_tls: str = _option(
        values.address, "", "Where people on other hosts give commands over TLS; who they are is said by the cert of "
        "a [user:NAME] section.", live="restart", example="0.0.0.0:7000")
    control_tls_certificate: str = _option(
        values.text, "", "File with the certificate of the stack, and with those between it and its authority; PEM.",
        live="restart", example="/etc/shop/tls.pem")
    control_tls_key: str = _option(
        values.text, "", "File with the key of that certificate; PEM.", live="restart", example="/etc/shop/tls.key")
    control_tls_clients: str = _option(
        values.text, "", "File with the authorities whose certificates clients may have; PEM.", live="restart",
        example="/etc/shop/clients.pem")
    endpoint: str = _option(
        values.endpoint, "", "Where Circus's own clients reach the stack, over ZeroMQ; without it they cannot.",
        live="restart", example="tcp://127.0.0.1:5555")
    pubsub_endpoint: str = _option(
        values.endpoint, "", "Where Circus's clients hear of events; with an endpoint, tcp://127.0.0.1:5556.",
        live="restart", example="tcp://127.0.0.1:5556")
    stats_endpoint: str = _option(
        values.endpoint, "", "Where circus-top and its like hear of statistics; they are taken while somebody listens.",
        live="restart", example="tcp://127.0.0.1:5557")
    statsd: bool = _option(
        values.boolean, False, "Publish statistics, without a stats_endpoint at tcp://127.0.0.1:5557 (Circus).",
        live="restart")
    endpoint_owner: str = _option(
        values.text, "", "User to whom ipc:// endpoints belong, and as whom alone add may run what it adds.",
        live="restart", example="deploy")
    endpoint_insecure: bool = _option(
        values.boolean, False, "Let everybody on this host say by a tcp:// endpoint what is run; without it they "
        "may do all the rest.", live="restart")
    curve_secret_key_file: str = _option(
        values.text, "", "File with the secret key of the endpoints, in Z85; zmq_curve(7).  Whoever comes in must have "
        "a curve_key in a [user:NAME] section.", live="restart", example="/etc/shop/curve.key")
    multicast_endpoint: str = _option(
        values.multicast, "", "Group in which clients may ask for the endpoint.", live="restart",
        example="udp://237.219.251.97:12027")
    check_delay: float = _option(
        values.seconds, 5.0, "Told to Circus's clients, which reckon with it; nothing else waits for it.", live="now",
        unit="s", example="1")
    debug: bool = _option(
        values.boolean, False, "The same as loglevel = debug (Circus).", live="restart")
    httpd: bool = _option(
        values.boolean, False, "Serve the console over HTTP.", live="now")
    httpd_host: str = _option(
        values.text, "127.0.0.1", "Address at which the console is served.", live="now", example="0.0.0.0")
    httpd_port: int = _option(
        values.port, 8080, "Port at which the console is served; 0 is any free one.", live="now", example="8081")
    httpd_prefix: str = _option(
        values.text, "", "Path under which a proxy shows the console.", live="now", example="/circus")
    httpd_allowed_hosts: tuple[str, ...] = _option(
        values.words, (), "Names by which browsers reach the console, besides localhost and httpd_host.", live="now",
        example="ops.example.org")
    drain_grace: float = _option(
        values.seconds, 2.0, "How long the supervisor waits at its end for the last output of its workers to be taken, "
        "if a file or the standard output takes no more.", live="restart", unit="s", example="10")
    shutdown_timeout: float | None = _option(
        values.seconds, None, "Longest time that stopping everything may take; then what is left is killed.",
        live="now", unit="s", example="8")
