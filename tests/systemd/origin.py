#!/usr/bin/env python3
"""What a service in its sandbox must reach: HTTP that wants a token, HTTPS, a server that never answers, SMTP.

  origin.py FOLDER TOKEN   answers on free ports of 127.0.0.1, writes them as NAME=PORT to FOLDER/ports, and the mail it
                           gets to FOLDER/mail; FOLDER/server.pem and server.key are its certificate. Ends with its parent.
"""

import http.server
import os
import socketserver
import ssl
import sys
import threading
import time

FOLDER, TOKEN = sys.argv[1:]


class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hang":
            time.sleep(3600)
        wanted = self.path != "/token" or self.headers.get("Authorization") == f"Bearer {TOKEN}"
        self.send_response(200 if wanted else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Smtp(socketserver.StreamRequestHandler):
    def handle(self):
        say = lambda line: self.wfile.write(line.encode() + b"\r\n")
        say("220 origin")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                say("354 go on")
                with open(f"{FOLDER}/mail", "ab") as mail:
                    while (line := self.rfile.readline()) != b".\r\n":
                        mail.write(line)
            elif word == b"QUIT":
                say("221 bye")
                return
            say("250 origin")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(handler, context=None):
    server = Server(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(f"{FOLDER}/server.pem", f"{FOLDER}/server.key")
ports = {"http": serve(Http), "https": serve(Http, tls), "smtp": serve(Smtp)}
with open(f"{FOLDER}/ports.new", "w") as out:
    out.writelines(f"{name}={port}\n" for name, port in ports.items())
os.rename(f"{FOLDER}/ports.new", f"{FOLDER}/ports")
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.2)
