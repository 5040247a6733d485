"""Keystone and Glance for the tests: real programs, SQLite, fernet tokens, loopback only.

    server.py template FOLDER                          databases and keys, made once and then copied
    server.py keystone FOLDER PORT SECONDS IMAGE_PORT  serves a copy; tokens live so many seconds
    server.py glance   FOLDER PORT IDENTITY_PORT       serves a copy, which checks tokens at that Keystone

What a template knows: domain `default`, user `admin` (admin of project `admin` and of the system), user `glance` of
project `service`; regions `RegionOne` and `RegionTwo`; for identity and image in both regions the interfaces public,
internal and admin. The ports in its catalog are stand-ins which a copy replaces when it starts.

A served Keystone notes each login in FOLDER/logins, one JSON object a line: {"who": [...], "status": null} when it comes,
with the status and the token, if one is issued, when it is answered. FOLDER/delay, when there, says for how many seconds logins wait before that.
A server ends when its standard input does, and takes FOLDER with it: nothing outlives the tests.
"""

import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

ADMIN_PASSWORD = "admin-Secret1"
GLANCE_PASSWORD = "glance-Secret1"
# Stand-ins in the template's catalog.
IDENTITY_PORT, IMAGE_PORT = "65501", "65502"
# Where Glance listens: each interface and region has an address of its own, so that a test sees which one was taken.
IMAGE_HOSTS = {
    ("RegionOne", "public"): "127.0.0.1",
    ("RegionOne", "internal"): "127.0.0.2",
    ("RegionOne", "admin"): "127.0.0.3",
    ("RegionTwo", "public"): "127.0.0.4",
    ("RegionTwo", "internal"): "127.0.0.5",
    ("RegionTwo", "admin"): "127.0.0.6",
}


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def configure_keystone(folder, seconds):
    etc = f"{folder}/etc"
    os.makedirs(etc, exist_ok=True)
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = etc
    write(f"{etc}/keystone.conf", f"""[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
expiration = {seconds}
caching = false
[fernet_tokens]
key_repository = {folder}/fernet-keys
[fernet_receipts]
key_repository = {folder}/fernet-keys
[credential]
key_repository = {folder}/credential-keys
[cache]
enabled = true
backend = dogpile.cache.memory
[revoke]
caching = false
[identity]
password_hash_rounds = 4
[oslo_policy]
enforce_scope = true
""")


def configure_glance(folder, identity_port):
    etc = f"{folder}/glance-etc"
    for name in (etc, f"{folder}/images", f"{folder}/staging"):
        os.makedirs(name, exist_ok=True)
    os.environ["OS_GLANCE_CONFIG_DIR"] = etc
    with open(f"{sys.prefix}/etc/glance/glance-api-paste.ini", encoding="utf-8") as paste:
        write(f"{etc}/glance-api-paste.ini", paste.read())
    write(f"{etc}/glance-api.conf", f"""[DEFAULT]
log_file = {folder}/glance.log
enabled_backends = fs:file
enabled_import_methods = []
[wsgi]
task_pool_threads = 2
[database]
connection = sqlite:///{folder}/glance.db
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = {folder}/images
[os_glance_staging_store]
filesystem_store_datadir = {folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {folder}/staging
[paste_deploy]
flavor = keystone
config_file = {etc}/glance-api-paste.ini
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:{identity_port}/v3
auth_url = http://127.0.0.1:{identity_port}/v3
auth_type = password
username = glance
password = {GLANCE_PASSWORD}
user_domain_id = default
project_name = service
project_domain_id = default
token_cache_time = -1
service_token_roles_required = true
http_connect_timeout = 5
http_request_max_retries = 1
""")


# ---- the template ---------------------------------------------------------------------------------------------------


def manage(module, *arguments):
    command = f"import sys; from {module} import main; sys.argv[0] = 'manage'; sys.exit(main())"
    subprocess.run([sys.executable, "-W", "ignore", "-c", command, *arguments], check=True)


def template(folder):
    configure_keystone(folder, 3600)
    configure_glance(folder, IDENTITY_PORT)
    keystone = ("keystone.cmd.manage", "--config-file", f"{folder}/etc/keystone.conf")
    owner = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
    url = f"http://127.0.0.1:{IDENTITY_PORT}/v3"
    manage(*keystone, "db_sync")
    manage(*keystone, "fernet_setup", *owner)
    manage(*keystone, "credential_setup", *owner)
    manage(*keystone, "bootstrap", "--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", "RegionOne",
           "--bootstrap-admin-url", url, "--bootstrap-internal-url", url, "--bootstrap-public-url", url)
    manage("glance.cmd.manage", "--config-file", f"{folder}/glance-etc/glance-api.conf", "db_sync")
    fill()


def fill():
    """Through Keystone's own API, within this process."""
    sys.argv = ["keystone"]  # Keystone reads the command line
    from keystone.wsgi.api import application
    from webob import Request

    token = None

    def call(method, path, body=None):
        request = Request.blank(f"/v3{path}", method=method, base_url=f"http://127.0.0.1:{IDENTITY_PORT}")
        if body is not None:
            request.content_type = "application/json"
            request.body = json.dumps(body).encode()
        if token:
            request.headers["X-Auth-Token"] = token
        answer = request.get_response(application)
        if answer.status_int not in (200, 201, 204):
            raise SystemExit(f"{method} {path}: {answer.status} {answer.text[:500]}")
        return answer.headers, answer.json_body if answer.body else None

    domain = {"id": "default"}
    user = {"name": "admin", "domain": domain, "password": ADMIN_PASSWORD}
    token = call("POST", "/auth/tokens", {"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": domain}},
    }})[0]["X-Subject-Token"]
    service = call("POST", "/projects", {"project": {"name": "service", "domain_id": "default"}})[1]["project"]["id"]
    user = {"name": "glance", "domain_id": "default", "password": GLANCE_PASSWORD}
    glance = call("POST", "/users", {"user": user})[1]["user"]["id"]
    for role in call("GET", "/roles")[1]["roles"]:
        if role["name"] in ("admin", "service"):
            call("PUT", f"/projects/{service}/users/{glance}/roles/{role['id']}")
    call("POST", "/regions", {"region": {"id": "RegionTwo"}})
    identity = call("GET", "/services?type=identity")[1]["services"][0]["id"]
    image = call("POST", "/services", {"service": {"name": "glance", "type": "image"}})[1]["service"]["id"]
    for (region, interface), host in IMAGE_HOSTS.items():
        endpoints = [(image, f"http://{host}:{IMAGE_PORT}")]
        if region == "RegionTwo":
            endpoints.append((identity, f"http://127.0.0.1:{IDENTITY_PORT}/v3"))
        for service, url in endpoints:
            call("POST", "/endpoints", {"endpoint": {
                "service_id": service, "interface": interface, "region_id": region, "url": url,
            }})


# ---- serving --------------------------------------------------------------------------------------------------------


class Front:
    """Before Keystone: notes who logs in, lets logins wait, and lets one request in at a time.

    Two that write at once, as logins do, would meet SQLite's "database is locked" and be answered with 500.
    """

    def __init__(self, application, folder):
        self.application = application
        self.notes = os.open(f"{folder}/logins", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.delay = f"{folder}/delay"
        self.turn = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].rstrip("/") == "/v3/auth/tokens":
            start_response = self.login(environ, start_response)
        with self.turn:
            return self.application(environ, start_response)

    def login(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        who = self.who(body)
        self.note(who, None)
        begin = time.monotonic()
        while time.monotonic() - begin < self.seconds():
            time.sleep(0.02)

        def answer(status, headers, exc_info=None):
            tokens = [value for name, value in headers if name.lower() == "x-subject-token"]
            self.note(who, int(status.split()[0]), *tokens)
            return start_response(status, headers, exc_info)

        return answer

    def note(self, who, status, token=None):
        os.write(self.notes, (json.dumps({"who": who, "status": status, "token": token}) + "\n").encode())

    def seconds(self):
        try:
            with open(self.delay, encoding="ascii") as file:
                return float(file.read())
        except (FileNotFoundError, ValueError):
            return 0.0

    @staticmethod
    def who(body):
        """Names and ids of the user and the application credential that log in."""
        try:
            identity = json.loads(body)["auth"]["identity"]
            credential = identity.get("application_credential", {})
            users = [identity.get("password", {}).get("user", {}), credential.get("user", {})]
            return [one[key] for one in (*users, credential) for key in ("name", "id") if key in one]
        except (ValueError, LookupError, TypeError, AttributeError):
            return []


def replace_ports(folder, identity_port, image_port):
    database = sqlite3.connect(f"{folder}/keystone.db")
    with database:
        for old, new in ((IDENTITY_PORT, identity_port), (IMAGE_PORT, image_port)):
            database.execute("UPDATE endpoint SET url = replace(url, ?, ?)", (f":{old}", f":{new}"))
    database.close()


def serve(folder, addresses, log, load):
    from gunicorn.app.base import BaseApplication

    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # a group of its own, which ends as a whole

    def end_with_the_tests():
        while os.read(0, 4096):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    class Server(BaseApplication):
        def load_config(self):
            for name, value in {
                "bind": addresses,
                "worker_class": "gthread",
                "threads": 16,
                "timeout": 0,  # a stopped process is no dead one
                "loglevel": "warning",
                "errorlog": log,
                "control_socket_disable": True,
                "when_ready": lambda _: threading.Thread(target=end_with_the_tests, daemon=True).start(),
            }.items():
                self.cfg.set(name, value)

        def load(self):
            return load()

    sys.argv = sys.argv[:1]  # Keystone and Glance read the command line
    Server().run()


def serve_keystone(folder, port, seconds, image_port):
    configure_keystone(folder, seconds)
    replace_ports(folder, port, image_port)

    def load():
        from keystone.wsgi.api import application
        return Front(application, folder)

    serve(folder, [f"127.0.0.1:{port}"], f"{folder}/keystone-server.log", load)


def serve_glance(folder, port, identity_port):
    configure_glance(folder, identity_port)

    def load():
        from glance.wsgi.api import application
        return application

    serve(folder, [f"{host}:{port}" for host in IMAGE_HOSTS.values()], f"{folder}/glance-server.log", load)


if __name__ == "__main__":
    {"template": template, "keystone": serve_keystone, "glance": serve_glance}[sys.argv[1]](*sys.argv[2:])
