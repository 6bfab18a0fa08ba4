"""A web server on this machine, for tests of downloads."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args, requests, **kwargs):
        self.requests = requests
        super().__init__(*args, **kwargs)

    def log_request(self, *args):
        self.requests.append(self.path)

    def log_message(self, *args):
        pass


@contextmanager
def serving(folder):
    """Gives the address and a list that grows with every path asked for."""
    requests = []
    handler = partial(_Handler, directory=str(folder), requests=requests)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}', requests
        server.shutdown()
