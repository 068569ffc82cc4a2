"""TLS settings: where they come from, and that everything wrong with them is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raftify import Config, TlsConfig
from raftify.errors import ConfigError
from tests.transport.certificates import DAY, HOST, Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "certificates")
    made.issue("node", HOST, "node-1.raft")
    return made


def faults_of(authority: Authority, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Config(tls=authority.tls("node", **settings))
    return str(caught.value)


def test_from_a_file_and_the_environment(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "raftify.toml"
    path.write_text(
        f"""
        [tls]
        ca_cert = "{authority.ca_cert}"
        cert = "{authority.cert("node")}"
        key = "{authority.key("node")}"
        node_name = "node-{{node_id}}.raft"
        admin_names = ["operator.raft", "second.raft"]
        """
    )
    expected = TlsConfig(
        ca_cert=str(authority.ca_cert),
        cert=str(authority.cert("node")),
        key=str(authority.key("node")),
        node_name="node-{node_id}.raft",
        admin_names=("operator.raft", "second.raft"),
    )
    assert Config.load(path, environment={}).tls == expected
    fewer = Config.load(path, environment={"RAFTIFY_TLS__ADMIN_NAMES": "a.raft, b.raft"}).tls
    assert fewer is not None
    assert fewer.admin_names == ("a.raft", "b.raft")
    none = Config.load(path, environment={"RAFTIFY_TLS__ADMIN_NAMES": ""}).tls
    assert none is not None
    assert none.admin_names == ()
    variables = {
        "RAFTIFY_TLS__CA_CERT": str(authority.ca_cert),
        "RAFTIFY_TLS__REQUIRE_CLIENT_CERT": "no",
    }
    loaded = Config.load(environment=variables).tls
    assert loaded == TlsConfig(ca_cert=str(authority.ca_cert), require_client_cert=False)
    assert Config.load(environment={}).tls is None


def test_what_is_wrong_in_a_file_is_said_with_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "raftify.toml"
    path.write_text(
        'tick_interval = 0\n[tls]\nca_cert = "no.pem"\ncert = "none.pem"\nkee = "x"\n'
        "admin_names = [1]\n"
    )
    with pytest.raises(ConfigError) as caught:
        Config.load(path, environment={})
    text = str(caught.value)
    assert "admin_names must be a list of texts" in text
    assert "tick_interval must be above 0" in text
    assert "tls: kee is no setting" in text
    assert "tls: cert and key must be given together" in text
    assert "tls: cannot read ca_cert no.pem" in text


def test_every_file_that_cannot_be_read_is_named(authority: Authority, tmp_path: Path) -> None:
    text = faults_of(authority, ca_cert=tmp_path / "ca", cert=tmp_path, key=tmp_path / "key")
    assert f"tls: cannot read ca_cert {tmp_path / 'ca'}: No such file" in text
    assert f"tls: cannot read cert {tmp_path}: Is a directory" in text
    assert f"tls: cannot read key {tmp_path / 'key'}: No such file" in text


def test_files_that_are_something_else(authority: Authority, tmp_path: Path) -> None:
    der = tmp_path / "cert.der"
    der.write_bytes(b"0\x82\x01\xff")
    text = faults_of(authority, ca_cert=der, cert=authority.key("node"), key=authority.cert("node"))
    assert f"ca_cert {der} holds no certificate in PEM form" in text
    assert f"cert {authority.key('node')} holds no certificate" in text
    assert f"key {authority.cert('node')} holds no private key" in text


def test_damaged_files(authority: Authority, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pem"
    cut.write_bytes(authority.cert("node").read_bytes()[:200])
    assert f"ca_cert {cut} cannot be read as a certificate" in faults_of(authority, ca_cert=cut)
    assert f"cert {cut} and key" in faults_of(authority, cert=cut)


def test_an_encrypted_key_is_not_asked_for_its_password(
    authority: Authority, tmp_path: Path
) -> None:
    key = tmp_path / "encrypted.key"
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END\n")
    assert f"key {key} is encrypted" in faults_of(authority, key=key)


def test_the_key_of_another_certificate(authority: Authority) -> None:
    authority.issue("other", HOST)
    text = faults_of(authority, key=authority.key("other"))
    assert "is not the key of cert" in text


def test_a_certificate_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    text = faults_of(authority, ca_cert=other.ca_cert)
    assert f"does not hold by ca_cert {other.ca_cert}: unable to get local issuer" in text


def test_a_certificate_that_has_expired(authority: Authority) -> None:
    authority.issue("node", HOST, valid=-DAY)
    assert "certificate has expired" in faults_of(authority)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"ca_cert": ""}, "ca_cert must be the path"),
        ({"ca_cert": "a\0b"}, "ca_cert 'a\\x00b' is no path of a file"),
        ({"ca_cert": 5}, "ca_cert must be a path, not 5"),
        ({"cert": None}, "cert and key must be given together"),
        (
            {"cert": None, "key": None},
            "cert and key must be given, unless require_client_cert is off",
        ),
        ({"require_client_cert": "yes"}, "require_client_cert must be true or false"),
        ({"server_name_override": "no name"}, "server_name_override must be a DNS name"),
        ({"server_name_override": 7}, "server_name_override must be a DNS name"),
        ({"node_name": "node.raft"}, "node_name must be a DNS name with {node_id}"),
        ({"node_name": "{node_id}.{node_id}"}, "node_name must be a DNS name with {node_id}"),
        ({"node_name": "node {node_id}"}, "node_name must be a DNS name for each id"),
        ({"node_name": f"{'n' * 60}{{node_id}}"}, "node_name must be a DNS name for each id"),
        ({"node_name": 3}, "node_name must be a DNS name with {node_id}"),
        (
            {"node_name": "node-{node_id}", "require_client_cert": False},
            "node_name needs require_client_cert",
        ),
        ({"admin_names": ["operator"]}, "admin_names must be a tuple of DNS names"),
        ({"admin_names": "operator"}, "admin_names must be a tuple of DNS names"),
        ({"admin_names": ("op erator",)}, "admin_names must be DNS names, and 'op erator' is none"),
        ({"admin_names": (7,)}, "admin_names must be DNS names, and 7 is none"),
        ({"admin_names": ("operator",)}, "admin_names needs node_name"),
    ],
)
def test_settings_that_make_no_sense(
    authority: Authority, settings: dict[str, Any], fault: str
) -> None:
    assert f"tls: {fault}" in faults_of(authority, **settings)


def test_what_is_no_tls_config_at_all() -> None:
    with pytest.raises(ConfigError, match="tls must be a TlsConfig, not True"):
        Config(tls=True)  # type: ignore[arg-type]  # on purpose


def test_a_node_needs_its_own_name(authority: Authority) -> None:
    settings = authority.tls("node", node_name="node-{node_id}.raft")
    assert settings.faults() == settings.faults_for(1) == []
    assert settings.name_of(1) == "node-1.raft"
    (fault,) = settings.faults_for(11)
    assert "must have the DNS name 'node-11.raft' to serve node 11" in fault
    assert fault.endswith("its DNS names are: node-1.raft")
