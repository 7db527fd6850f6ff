"""Object stores on this machine, for tests: S3 by moto, Azure Blob Storage by Azurite.

Each gives a URL for `--data` and the environment that leads to it, while it runs. A folder has the
same face.
"""

import base64
import contextlib
import datetime
import hashlib
import hmac
import pathlib
import subprocess
import tempfile
import threading
import urllib.request

CONTAINER = "bucket"
NODE_MODULES = pathlib.Path(__file__).parent / "node_modules"
START_SECONDS = 300
# Azurite's, the same everywhere.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = ("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
             "K1SZFPTOtr/KBHBeksoGMGw==")


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as path:
        yield f"{path}/data", {}


class Gate:
    """What becomes of requests on their way to a store, and how many read files of events."""

    def __init__(self):
        self.is_down = False
        self.file_reads = 0
        self.goes_on = threading.Event()
        self.goes_on.set()

    @contextlib.contextmanager
    def stalled(self):
        """Nothing is answered meanwhile."""
        self.goes_on.clear()
        try:
            yield
        finally:
            self.goes_on.set()

    @contextlib.contextmanager
    def down(self):
        """Everything is refused meanwhile."""
        self.is_down = True
        try:
            yield
        finally:
            self.is_down = False


@contextlib.contextmanager
def s3(ignores_conditions=False, gate=None):
    """moto's server in this process. If told so, it puts objects on top of others whatever it is
    asked, as some stores do."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    moto = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    gate = gate or Gate()

    def application(environ, start_response):
        gate.goes_on.wait()
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(".parquet"):
            gate.file_reads += 1
        if gate.is_down:
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        if ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ.pop("HTTP_IF_MATCH", None)
        # moto looks for an object and then puts it: in between, another could come.
        with lock:
            return list(moto(environ, start_response))

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_request):
            pass

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.port}"
    try:
        # Everything that an earlier one in this process was given is there.
        request("POST", f"{endpoint}/moto-api/reset")
        request("PUT", f"{endpoint}/{CONTAINER}")
        yield f"s3://{CONTAINER}/data", {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
        }
    finally:
        server.shutdown()


@contextlib.contextmanager
def azure():
    """Azurite, of the package of this name beside; it keeps everything in memory."""
    process = subprocess.Popen(
        ["node", NODE_MODULES / ".bin" / "azurite-blob", "--inMemoryPersistence",
         "--blobHost", "127.0.0.1", "--blobPort", "0", "--skipApiVersionCheck",
         "--disableTelemetry", "--silent"],
        stdout=subprocess.PIPE, text=True)
    try:
        too_late = threading.Timer(START_SECONDS, process.kill)
        too_late.start()
        said = ""
        while "listens on" not in said:
            said = process.stdout.readline()
            assert said, "Azurite did not start"
        too_late.cancel()
        endpoint = f"{said.split()[-1]}/{AZURE_ACCOUNT}"
        request("PUT", f"{endpoint}/{CONTAINER}?restype=container", azure_headers())
        yield f"az://{CONTAINER}/data", {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_ENDPOINT": endpoint, "AZURE_ALLOW_HTTP": "true",
        }
    finally:
        process.kill()
        process.communicate()


def request(method, url, headers=None):
    asked = urllib.request.Request(url, method=method, headers=headers or {})
    urllib.request.urlopen(asked, timeout=START_SECONDS).close()


def azure_headers():
    """Signs the request that creates the container."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": now, "x-ms-version": "2021-08-06"}
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in headers.items()),
             f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{CONTAINER}", "restype:container"]
    key = base64.b64decode(AZURE_KEY)
    signature = hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256)
    signature = base64.b64encode(signature).decode()
    return {**headers, "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}"}


STORES = {"folder": folder, "s3": s3, "azure": azure}
