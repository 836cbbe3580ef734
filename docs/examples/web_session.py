"""A web service whose users never go back in time, whichever instance and node answers them.

Each answer carries a token in the header Evenkeel-Token; the browser, or the service that called, sends it back with
its next request. Needs redis-py 5 or newer.

    python3 web_session.py HTTP-PORT NODE-PORT

    curl -i -X POST 'http://127.0.0.1:HTTP-PORT/cart?add=apple'          # remember the token of the answer
    curl -H 'Evenkeel-Token: …' 'http://127.0.0.1:OTHER-PORT/cart'       # another instance, at another node
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import redis

HTTP_PORT, NODE_PORT = int(sys.argv[1]), int(sys.argv[2])
POOL = redis.ConnectionPool(port=NODE_PORT, decode_responses=True)


class Cart(BaseHTTPRequestHandler):
    def answer(self, work):
        # One connection for the whole request: the token is about what a connection has read and written.
        client = redis.Redis(connection_pool=POOL, single_connection_client=True)
        try:
            token = self.headers.get("Evenkeel-Token")
            if token:
                client.execute_command("EK.AFTER", token, 1000)
            body = work(client)
            token = client.execute_command("EK.TOKEN")
        except redis.ResponseError as error:
            # BEHIND: this node lacks what the user has seen. Another instance may have it.
            self.send_response(503)
            self.end_headers()
            self.wfile.write(f"{error}\n".encode())
            return
        finally:
            client.close()
        self.send_response(200)
        self.send_header("Evenkeel-Token", token)
        self.end_headers()
        self.wfile.write(f"{body}\n".encode())

    def do_GET(self):
        self.answer(lambda client: " ".join(sorted(client.smembers("cart"))))

    def do_POST(self):
        item = parse_qs(urlsplit(self.path).query)["add"][0]
        self.answer(lambda client: client.sadd("cart", item))

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Cart).serve_forever()
