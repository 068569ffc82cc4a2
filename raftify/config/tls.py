"""TLS for everything that travels: whose certificates are taken, and which one is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raftify.config.certificates import chain_faults, names_in, node_use_fault

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ENCRYPTED: Final = ("BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED")
_NODE_ID: Final = "{node_id}"
_DNS_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class TlsConfig:
    """Certificates of a node, or of a client. All files are PEM; they may be replaced at any time.

    A program that has another certificate than one by `ca_cert` is refused, and so is one that has
    none; the other end is checked by the same `ca_cert`, and must have a certificate for the host
    name or IP address that it was called by. So sign with an authority of the cluster's own.

    Checked by `Config.validate`.
    """

    #: Certificates of the authorities that are trusted; several may stand in the file.
    ca_cert: str | Path = ""
    #: The certificate that this program shows, then those between it and the authority's, and its
    #: private key, not encrypted. Only a client may do without, and only where
    #: `require_client_cert` is off.
    cert: str | Path | None = None
    key: str | Path | None = None
    #: Whether a node refuses callers that show no certificate of `ca_cert`. If off, anybody may
    #: call who can reach the port, and only the nodes prove who they are.
    require_client_cert: bool = True
    #: The DNS name that every node's certificate has, where certificates name no hosts.
    server_name_override: str = ""
    #: The DNS name that the certificate of each node has, with `{node_id}` in the place of its id:
    #: "node-{node_id}.orders.raft". A node that says it is node 3 is refused without the name of
    #: node 3, and so is what answers at the address of node 3. Empty: any certificate of
    #: `ca_cert` may speak for any node.
    node_name: str = ""
    #: The DNS names of the certificates that may change the membership, move the leader, and take
    #: snapshots or the whole state; nodes may, by `node_name`. Empty: any certificate may.
    admin_names: tuple[str, ...] = ()

    def name_of(self, node_id: int) -> str:
        """Return the name that must stand in the certificate of a node; empty if any may.

        `node_id` 0 stands for a node whose id the caller does not know.
        """
        if self.node_name and node_id:
            return self.node_name.replace(_NODE_ID, str(node_id))
        return self.server_name_override

    def faults(self) -> list[str]:
        """Return everything that is wrong with the settings and with the files, one text each."""
        faults = self._settings_faults() + self._files_faults()
        return faults or chain_faults(self.ca_cert, self.cert, self.key)

    def _settings_faults(self) -> list[str]:
        faults = []
        for name, value in (("ca_cert", self.ca_cert), ("cert", self.cert), ("key", self.key)):
            given: object = value
            if given is not None and not isinstance(given, str | Path):
                faults.append(f"{name} must be a path, not {given!r}")
        if isinstance(self.ca_cert, str) and not self.ca_cert.strip():
            faults.append("ca_cert must be the path of the authority's certificate")
        needed: object = self.require_client_cert
        if not isinstance(needed, bool):
            faults.append(f"require_client_cert must be true or false, not {needed!r}")
        if bool(self.cert) != bool(self.key):
            faults.append("cert and key must be given together")
        elif not self.cert and self.require_client_cert:
            faults.append("cert and key must be given, unless require_client_cert is off")
        return faults + self._name_faults() + self._admin_faults()

    def _name_faults(self) -> list[str]:
        faults = []
        override: object = self.server_name_override
        template: object = self.node_name
        if override != "" and not (isinstance(override, str) and _DNS_NAME.fullmatch(override)):
            faults.append(f"server_name_override must be a DNS name, not {override!r}")
        if template == "":
            return faults
        if not isinstance(template, str) or template.count(_NODE_ID) != 1:
            faults.append(f"node_name must be a DNS name with {_NODE_ID} in it, not {template!r}")
        elif not _DNS_NAME.fullmatch(template.replace(_NODE_ID, str((1 << 64) - 1))):
            faults.append(f"node_name must be a DNS name for each id, not {template!r}")
        if not self.require_client_cert:
            faults.append("node_name needs require_client_cert: else no caller shows a certificate")
        return faults

    def _admin_faults(self) -> list[str]:
        given: object = self.admin_names
        if not isinstance(given, tuple):
            return [f"admin_names must be a tuple of DNS names, not {given!r:.60}"]
        faults = [
            f"admin_names must be DNS names, and {name!r:.60} is none"
            for name in given
            if not (isinstance(name, str) and _DNS_NAME.fullmatch(name))
        ]
        if given and not self.node_name:
            faults.append("admin_names needs node_name: else any certificate may speak for a node")
        return faults

    def _files_faults(self) -> list[str]:
        faults = []
        for name, path in (("ca_cert", self.ca_cert), ("cert", self.cert), ("key", self.key)):
            given: object = path
            if not isinstance(given, str | Path) or not given:
                continue
            try:
                text = Path(given).read_text(encoding="latin-1")
            except OSError as error:
                faults.append(f"cannot read {name} {path}: {error.strerror}")
                continue
            except ValueError:
                faults.append(f"{name} {path!r} is no path of a file")
                continue
            if name == "key" and any(mark in text for mark in _ENCRYPTED):
                faults.append(f"key {path} is encrypted: give it decrypted, readable by the node")
            elif name == "key" and not _KEY.search(text):
                faults.append(f"key {path} holds no private key in PEM form")
            elif name != "key" and _CERTIFICATE not in text:
                faults.append(f"{name} {path} holds no certificate in PEM form")
        return faults

    def faults_for(self, node_id: int) -> list[str]:
        """Return what keeps the node `node_id` from using these settings, which have no faults."""
        if not self.cert or not self.key:
            return ["a node needs cert and key: it is called, and has to prove who it is"]
        fault = node_use_fault(self.ca_cert, self.cert, self.key)
        if fault:
            return [fault]
        name = self.name_of(node_id)
        names = names_in(self.ca_cert, self.cert, self.key)
        if name and name not in names:
            called = ", ".join(names) or "none"
            must = f"cert {self.cert} must have the DNS name {name!r} to serve node {node_id}"
            return [f"{must}; its DNS names are: {called}"]
        return []
