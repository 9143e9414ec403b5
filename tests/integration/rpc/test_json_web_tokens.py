"""JSON Web Tokens over real sockets, signed by an identity provider that is made here."""

import asyncio
import base64
import json
import time
import warnings
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.support.certificates import Issuer
from tests.support.rpc_service import ServiceOptions, bearer, refusal_of, running_service, user_says

from archrouter import v1
from archrouter.config import AuthSettings
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers
from archrouter.rpc.authentication.json_web_tokens import MAX_REMEMBERED, JwtVerifier
from archrouter.rpc.errors import AuthenticationError

ISSUER = Issuer()
NOW = datetime.now(UTC)
SECRET = "s" * 64


def rules(scope_prefix: str = "", scope_claim: str = "scope") -> AuthSettings:
    """Make the rules of this issuer."""
    return AuthSettings(
        jwt_issuer=ISSUER.url,
        jwt_audience="archrouter",
        jwt_algorithms="ES256",
        jwt_scope_claim=scope_claim,
        jwt_scope_prefix=scope_prefix,
        jwt_leeway_s=5.0,
    )


def by_jwt(settings: AuthSettings | None = None, callers: str = "", keys: bytes = ISSUER.key_set) -> ServiceOptions:
    """Serve those whom the issuer knows."""
    verifier = JwtVerifier(settings or rules())
    verifier.use_keys(keys)
    return ServiceOptions(authenticator=Authenticator(Callers.from_text(callers) if callers else None, verifier))


def signed_by_nobody() -> str:
    """Make a token with the algorithm none."""
    header, payload, _ = ISSUER.token().split(".")
    unsigned = json.loads(base64.urlsafe_b64decode(header + "==")) | {"alg": "none"}
    return f"{base64.urlsafe_b64encode(json.dumps(unsigned).encode()).decode().rstrip('=')}.{payload}."


def signed_with_a_secret() -> str:
    """Make a token whose secret is the published key, which is how verifiers without an allow-list are fooled."""
    return jwt.encode(
        {"iss": ISSUER.url, "aud": "archrouter", "sub": "x", "exp": NOW + timedelta(minutes=1), "scope": "route"},
        SECRET,
        algorithm="HS256",
        headers={"kid": ISSUER.key_id},
    )


def encoded(part: bytes) -> str:
    """Write a part of a token."""
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


REFUSED = {
    "expired": ISSUER.token(exp=NOW - timedelta(seconds=30)),
    "not_yet": ISSUER.token(nbf=NOW + timedelta(seconds=60)),
    "wrong_audience": ISSUER.token(aud="another-service"),
    "wrong_issuer": ISSUER.token(iss="https://elsewhere.example"),
    "no_expiry": ISSUER.token(exp=None),
    "no_audience": ISSUER.token(aud=None),
    "no_subject": ISSUER.token(sub=None),
    "wrong_key": ISSUER.token(key=Issuer()),
    "unknown_key": ISSUER.token(key_id="key-99"),
    "algorithm_none": signed_by_nobody(),
    "shared_secret": signed_with_a_secret(),
    "no_token": "a.b.c",
    "deep_header": f"{encoded(b'[' * 4000)}.e30.e30",
    "header_is_a_list": f"{encoded(b'[]')}.e30.e30",
    "key_id_is_a_list": f"{encoded(json.dumps({'alg': 'ES256', 'kid': ['x']}).encode())}.e30.e30",
    "subject_is_a_number": ISSUER.token(sub=7),
    "expiry_is_a_word": ISSUER.token(exp="tomorrow"),
}


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
async def test_a_token_that_breaks_a_rule_is_refused(token: str) -> None:
    """The caller is not told why, nor whether a policy set exists; the log says why, without the token."""
    request = user_says("a refund")

    async with running_service(by_jwt()) as service:
        refusals = []
        with capture_logs() as logs:
            for name in ("support", "absent"):
                request.policy_set = f"policySets/{name}"
                refusals.append(await refusal_of(service.routing.SelectRoute(request, metadata=bearer(token))))

    assert (StatusCode.UNAUTHENTICATED, "ERROR_REASON_CREDENTIALS_INVALID", {}) == refusals[0].summary
    assert refusals[0].message == refusals[1].message
    assert logs[-1]["error_cause"].startswith("the JWT is not accepted: ")
    assert token not in repr(logs)


async def test_an_accepted_token_names_the_caller() -> None:
    """The subject is the caller in the log, and the scope claim says what it may do."""
    async with running_service(by_jwt()) as service:
        with capture_logs() as logs:
            response = await service.routing.SelectRoute(user_says("a refund"), metadata=bearer(ISSUER.token()))
        refusal = await refusal_of(
            service.policies.ListPolicySets(v1.ListPolicySetsRequest(), metadata=bearer(ISSUER.token()))
        )

    assert "billing" == response.decision.route_id
    assert "gateway" == logs[-1]["caller"]
    assert (StatusCode.PERMISSION_DENIED, {"scope": "policy.read"}) == (refusal.code, dict(refusal.info.metadata))


async def test_the_clock_may_differ_by_the_leeway() -> None:
    """A token that has just expired still counts."""
    token = ISSUER.token(exp=datetime.now(UTC) - timedelta(seconds=1))

    async with running_service(by_jwt()) as service:
        response = await service.routing.SelectRoute(user_says("a refund"), metadata=bearer(token))

    assert "billing" == response.decision.route_id


@pytest.mark.parametrize(
    ("claims", "prefix", "claim"),
    [
        pytest.param({"scope": "openid archrouter:policy.read:support email"}, "archrouter:", "scope", id="text"),
        pytest.param({"roles": ["archrouter/policy.read:sup*", "other", 7]}, "archrouter/", "roles", id="list"),
        pytest.param({"scope": "policy.read:support admin:nonsense unknown"}, "", "scope", id="no_prefix"),
    ],
)
async def test_a_claim_maps_to_scopes(claims: dict[str, object], prefix: str, claim: str) -> None:
    """The claim, and the part of its scopes that is this service's, are settings; what else it holds is ignored."""
    token = ISSUER.token(**{"scope": None, **claims})  # type: ignore[arg-type]  # a table of claims

    async with running_service(by_jwt(rules(prefix, claim))) as service:
        listed = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(), metadata=bearer(token))
        refusal = await refusal_of(service.routing.SelectRoute(user_says("a refund"), metadata=bearer(token)))

    assert ["policySets/support"] == [one.name for one in listed.policy_sets]
    assert StatusCode.PERMISSION_DENIED == refusal.code


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5), st.booleans())
def test_no_bytes_are_more_than_a_token_that_is_refused(parts: list[bytes], signed: bool) -> None:  # noqa: FBT001  # drawn
    """Whatever stands in a token, the answer is the one error, never another's."""
    good = ISSUER.token().split(".")[:1] if signed else []
    verifier = JwtVerifier(rules())
    verifier.use_keys(ISSUER.key_set)

    with pytest.raises(AuthenticationError):
        asyncio.run(verifier.verify(".".join([*good, *map(encoded, parts)])))


@pytest.mark.parametrize("claim", [None, {"route": True}, 7, [["route"]]])
async def test_a_claim_of_another_form_grants_nothing(claim: object) -> None:
    """The caller is known, and may do nothing."""
    async with running_service(by_jwt()) as service:
        metadata = bearer(ISSUER.token(scope=claim))
        refusal = await refusal_of(service.routing.SelectRoute(user_says("a refund"), metadata=metadata))

    assert StatusCode.PERMISSION_DENIED == refusal.code


async def test_the_callers_file_adds_scopes_to_a_subject() -> None:
    """A token without scopes, as a Kubernetes service account has, gets those of its line, and its name."""
    subject = "system:serviceaccount:shop:gateway"

    async with running_service(by_jwt(callers=f"subject:{subject} gateway-pod route")) as service:
        with capture_logs() as logs:
            await service.routing.SelectRoute(
                user_says("a refund"), metadata=bearer(ISSUER.token(sub=subject, scope=None))
            )

    assert "gateway-pod" == logs[-1]["caller"]


def test_a_key_set_without_public_keys_changes_nothing() -> None:
    """A shared secret, an empty set and another text are refused, without a word of them in the error."""
    verifier = JwtVerifier(rules())
    verifier.use_keys(ISSUER.key_set)
    before = verifier._keys
    secret = {"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldA", "kid": "s"}]}

    for text in (json.dumps(secret).encode(), b'{"keys": []}', b"<html>", b"[]", b"\xff", b'{"keys": [{"kty": "EC"}]}'):
        with pytest.raises(ValueError, match="JSON Web Key Set") as caught:
            verifier.use_keys(text)
        assert "c2VjcmV0" not in str(caught.value)

    assert before is verifier._keys


def of_rsa(bits: int) -> tuple[JwtVerifier, str]:
    """Publish one RSA key without an id, and sign a token with it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    verifier = JwtVerifier(rules().model_copy(update={"jwt_algorithms": "RS256,ES256"}))
    verifier.use_keys(json.dumps({"keys": [published]}).encode())
    claims = {"iss": ISSUER.url, "aud": ["archrouter", "x"], "sub": "s", "exp": NOW + timedelta(minutes=9)}
    with warnings.catch_warnings(action="ignore"):  # of a short key, by the signer
        return verifier, jwt.encode(claims, key, algorithm="RS256")


async def test_the_one_key_of_a_set_needs_no_id() -> None:
    """Providers with a single key leave the id out."""
    verifier, token = of_rsa(2048)

    assert "s" == (await verifier.verify(token)).subject


async def test_a_short_key_checks_nothing() -> None:
    """Below 2048 bits RSA is no protection (NIST SP 800-131A)."""
    verifier, token = of_rsa(1024)

    with pytest.raises(AuthenticationError, match="InvalidKeyError"):
        await verifier.verify(token)


async def test_a_key_of_another_kind_checks_nothing() -> None:
    """The algorithm of a token is that of its key, even where both are allowed."""
    verifier, _ = of_rsa(2048)

    with pytest.raises(AuthenticationError, match="InvalidAlgorithmError"):
        await verifier.verify(Issuer(ISSUER.url).token(key_id=None))


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"jwt_issuer": ""}, "auth.jwt_issuer"),
        ({"jwt_audience": ""}, "auth.jwt_audience"),
        ({"jwt_algorithms": ""}, "auth.jwt_algorithms"),
        ({"jwt_algorithms": "HS256"}, "HS256"),
        ({"jwt_algorithms": "ES256,none"}, "none"),
    ],
)
def test_rules_that_let_every_token_pass_are_refused(change: dict[str, str], setting: str) -> None:
    """Issuer and audience are needed, and signatures must be by a key pair."""
    with pytest.raises(ValueError, match=setting):
        JwtVerifier(rules().model_copy(update=change))


async def test_a_remembered_token_ends_with_its_time_and_with_its_key() -> None:
    """What has been checked once is not checked again, but it does not outlive what made it good."""
    issuer = Issuer(ISSUER.url)
    verifier = JwtVerifier(rules().model_copy(update={"jwt_leeway_s": 0.0}))
    verifier.use_keys(issuer.key_set)
    long, short = issuer.token(), issuer.token(exp=time.time() + 1.2)
    first = await verifier.verify(long)
    assert first is await verifier.verify(long)
    await verifier.verify(short)

    await asyncio.sleep(2.3)
    with pytest.raises(AuthenticationError, match="ExpiredSignatureError"):
        await verifier.verify(short)
    issuer.rotate()
    verifier.use_keys(issuer.key_set)

    with pytest.raises(AuthenticationError, match="InvalidKeyError"):
        await verifier.verify(long)


async def test_remembered_tokens_are_bounded() -> None:
    """A provider that makes a token for each call fills no memory."""
    verifier = JwtVerifier(rules())
    verifier.use_keys(ISSUER.key_set)

    for number in range(MAX_REMEMBERED + 2):
        await verifier.verify(ISSUER.token(jti=str(number)))

    assert 2 == len(verifier._verified)
