"""Single sign-on at a real OpenID provider (npm oidc-provider)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.foundation.oidc.provider import Providers
from agentmem.foundation.outbound.guard import Destinations
from agentmem.foundation.outbound.guarded import GuardedSender
from agentmem.kit.networks import parse_network
from agentmem.schemas.access import Role
from agentmem.schemas.base import parse
from agentmem.schemas.policies import SsoPolicy
from tests.support.foreign_programs import Provider, needs_npm, provider
from tests.support.served import BASE_URL, client, key_of
from tests.support.sign_ins import PASSWORD, person_of

pytestmark = needs_npm
CALLBACK = f"{BASE_URL}/v1/auth/sso/callback"
SECRET = "a secret of thirty-two characters"  # of a provider that lives for these tests
ROLES = {"engineers": "admin", "staff": "member", "guests": "viewer"}


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Provider]:
    with provider(CALLBACK) as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class House:
    """An organization with a provider, and a browser at its server."""

    app: App
    http: httpx.AsyncClient
    provider: Provider
    path: str

    async def policy(self, **changes: object) -> None:
        values = {"issuer": self.provider.issuer, "client_id": "agentmem", "roles": ROLES, **changes}
        await self.app.accounts.policies.update(self.app.caller, parse(SsoPolicy, values))

    async def begin(self) -> tuple[str, str]:
        """Begin to sign in: gives where the browser is sent, and the cookie that it gets."""
        begun = await self.http.get(self.path)
        assert begun.status_code == 303, begun.text
        cookie = begun.headers["Set-Cookie"]
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        return begun.headers["Location"], cookie.partition(";")[0]

    async def back(self, params: httpx.QueryParams, cookie: str | None) -> httpx.Response:
        headers = {} if cookie is None else {"Cookie": cookie}
        return await self.http.get("/v1/auth/sso/callback", params=params, headers=headers)

    async def sign_in(self, subject: str, *groups: str, **more: object) -> httpx.Response:
        self.provider.says(subject, *groups, **more)
        address, cookie = await self.begin()
        return await self.back(self.provider.visit(address), cookie)

    async def role(self, answer: httpx.Response) -> str:
        assert answer.status_code == 200, answer.text
        self.app.admission.people.forget([])
        me = await self.http.get("/v1/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
        return str(me.json().get("role", me.text))


@pytest.fixture
async def house(memory: AsyncMemory, elsewhere: Provider) -> AsyncIterator[House]:
    app = memory.app
    await person_of(app)  # the platform's organization, which accounts belong to, is there
    near = GuardedSender(Destinations(http=True, networks=(parse_network("127.0.0.0/8"),)))
    app = replace(app, single=replace(app.single, providers=Providers(near), public_url=BASE_URL))
    async with client(app, None) as http:
        path = f"/v1/auth/sso/{app.caller.organization_id}/start"
        found = House(app=app, http=http, provider=elsewhere, path=path)
        await found.policy()
        await app.single.federation.set_secret(app.caller, SECRET)
        yield found
    await near.aclose()


async def test_whom_the_provider_vouches_for_comes_in_and_comes_again_as_the_same(house: House) -> None:
    first, second = await house.sign_in("ada", "staff"), await house.sign_in("ada", "staff")
    assert await house.role(first) == "member"
    members = [m for m in (await house.app.members.page(house.app.caller)).items if m.name == "ada of the provider"]

    assert await house.role(second) == "member"
    assert len(members) == 1
    sessions = await house.http.get(
        "/v1/account/sessions", headers={"Authorization": f"Bearer {second.json()['access_token']}"}
    )
    assert len(sessions.json()["items"]) == 2


async def test_role_follows_the_groups_and_whoever_has_none_is_put_out(house: House) -> None:
    signed = await house.sign_in("grace", "staff")
    assert await house.role(signed) == "member"
    assert await house.role(await house.sign_in("grace", "staff", "engineers", amr=["pwd", "mfa"])) == "admin"
    assert await house.role(await house.sign_in("grace", "guests")) == "viewer"
    refused = await house.sign_in("grace", "others")

    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert (await house.sign_in("grace", "staff")).status_code == 403  # disabled, until somebody here enables her


async def test_second_factor_is_asked_for_here_unless_the_provider_did(house: House) -> None:
    asked = await house.sign_in("edsger", "engineers")
    assert (asked.status_code, asked.json()["status"]) == (200, "enrolment_required")
    assert await house.role(await house.sign_in("edsger", "engineers", amr=["mfa"])) == "admin"


async def test_stranger_without_a_group_is_refused_and_leaves_nothing(house: House) -> None:
    before = len((await house.app.members.page(house.app.caller)).items)
    assert (await house.sign_in("mallory", "others")).status_code == 403
    assert len((await house.app.members.page(house.app.caller)).items) == before
    await house.policy(default_role="viewer")
    assert await house.role(await house.sign_in("mallory", "others")) == "viewer"


async def test_answer_is_taken_in_the_browser_that_began_and_once(house: House) -> None:
    house.provider.says("ada", "staff")
    address, cookie = await house.begin()
    params = house.provider.visit(address)
    _, other = await house.begin()
    wrong_state = params.set("state", "x" * 43)
    wrong_issuer = params.set("iss", "https://evil.example")
    refusals = [
        await house.back(params, None),
        await house.back(params, other),
        await house.back(wrong_state, cookie),
        await house.back(params, cookie[:-4]),
    ]
    assert [answer.status_code for answer in refusals] == [401] * 4
    good, again = await house.back(params, cookie), await house.back(params, cookie)

    assert (good.status_code, again.status_code) == (200, 401)
    assert "used before" in again.json()["detail"]
    address, cookie = await house.begin()
    assert (await house.back(wrong_issuer.set("state", _state(address)), cookie)).status_code == 401


async def test_code_of_another_sign_in_is_refused(house: House) -> None:
    house.provider.says("ada", "staff")
    first, _ = await house.begin()
    second, cookie = await house.begin()
    stolen = house.provider.visit(first).set("state", _state(second))

    refused = await house.back(stolen, cookie)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def test_whoever_turns_back_at_the_provider_is_not_let_in(house: House) -> None:
    address, cookie = await house.begin()
    denied = httpx.QueryParams({"state": _state(address), "error": "access_denied", "iss": house.provider.issuer})

    assert (await house.back(denied, cookie)).status_code == 401


async def test_sign_in_that_is_not_as_good_as_asked_is_refused(house: House) -> None:
    await house.policy(acr_values=["gold"], max_age_seconds=600)
    assert (await house.sign_in("ada", "staff")).status_code == 401
    assert await house.role(await house.sign_in("ada", "staff", acr="gold")) == "member"


async def test_client_without_a_secret_is_kept_safe_by_its_verifier(house: House) -> None:
    await house.policy(client_id="public")
    await house.app.single.federation.set_secret(house.app.caller, None)

    assert await house.role(await house.sign_in("ada", "staff")) == "member"


async def test_provider_that_is_another_than_the_policy_says_is_not_asked(house: House) -> None:
    await house.policy(issuer=f"{house.provider.issuer}/")
    refused = await house.http.get(house.path)
    await house.policy(issuer="http://127.0.0.1:1")
    nobody = await house.http.get(house.path)
    near = replace(house.app, single=replace(house.app.single, providers=Providers(GuardedSender(Destinations()))))
    await house.policy()
    async with client(near, None) as guarded:
        inside = await guarded.get(house.path)

    assert [answer.status_code for answer in (refused, nobody, inside)] == [503] * 3


async def test_while_it_is_enforced_nobody_but_the_break_glass_comes_by_password(house: House) -> None:
    glass, other = await person_of(house.app, Role.OWNER), await person_of(house.app, Role.ADMIN)
    await house.policy(enforced=True, break_glass=[glass.member_id])

    async def by_password(email: str) -> int:
        body = {"email": email, "password": PASSWORD}
        return (await house.http.post("/v1/auth/sign-in", json=body)).status_code

    assert await by_password(other.email) == 403
    assert await by_password(glass.email) == 200  # and then an owner is asked for a second factor
    assert await house.role(await house.sign_in("ada", "staff")) == "member"
    await house.policy()
    assert await by_password(other.email) == 200


async def test_same_subject_of_another_organization_is_somebody_else(house: House, memory: AsyncMemory) -> None:
    assert await house.role(await house.sign_in("ada", "staff")) == "member"
    nowhere = await house.http.get(f"/v1/auth/sso/{UUID(int=5)}/start")

    assert nowhere.status_code == 404


async def test_secret_is_set_over_rest_and_never_shown(house: House, memory: AsyncMemory) -> None:
    async with client(house.app, await key_of(memory)) as owner:
        body = {"client_secret": SECRET}
        assert (await owner.put("/v1/organization/sso-secret", json=body)).status_code == 204
        shown = await owner.get("/v1/organization/policies/sso")

    assert SECRET not in shown.text
    assert await house.role(await house.sign_in("ada", "staff")) == "member"


async def test_sign_in_for_a_page_of_ours_ends_in_cookies(house: House) -> None:
    house.provider.says("ada", "staff")
    begun = await house.http.get(house.path, params={"cookies": "true"})
    cookie = begun.headers["Set-Cookie"].partition(";")[0]
    answer = await house.back(house.provider.visit(begun.headers["Location"]), cookie)

    assert answer.json()["access_token"] is None
    assert "__Host-agentmem-refresh=" in answer.headers["Set-Cookie"]


def _state(address: str) -> str:
    return httpx.URL(address).params["state"]
