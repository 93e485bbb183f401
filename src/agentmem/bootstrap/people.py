"""What lets people in: their sessions, the tokens of these, and the ways to sign in."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from agentmem.bootstrap.opened import Opened
from agentmem.features.identity.federation.service import FederationService
from agentmem.features.identity.sessions.service import SessionService
from agentmem.features.identity.signing.known import KnownKeys
from agentmem.features.identity.signing.service import SigningKeyService
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.memberships import MembershipService
from agentmem.foundation.codes.open import open_code_senders
from agentmem.foundation.oidc.provider import Providers
from agentmem.foundation.tokens.access import Issuer
from agentmem.pipelines.accounts.parts import Accounts
from agentmem.pipelines.admission.people import People
from agentmem.pipelines.signing_in.aging import Aging
from agentmem.pipelines.signing_in.by_factor import FactorFlows
from agentmem.pipelines.signing_in.pipeline import SigningIn
from agentmem.pipelines.signing_in.second_factors import SecondFactors
from agentmem.pipelines.signing_in.single import SingleSignOn
from agentmem.settings import Settings

AUDIENCE: Final = "agentmem"


def open_accounts(opened: Opened) -> Accounts:
    """Make what keeps accounts and their passwords."""
    return Accounts.over(
        opened.database,
        opened.state,
        opened.passwords,
        opened.mailer,
        opened.settings,
        tried=opened.watchers.password,
    )


def open_people(opened: Opened, members: MemberService) -> People:
    """Make what turns access tokens into callers."""
    return People(
        sessions=SessionService(database=opened.database),
        members=members,
        keys=KnownKeys(SigningKeyService(database=opened.database)),
        database=opened.database,
        state=opened.state,
        issuer=issuer_of(opened.settings),
        clock=opened.database.clock,
        need_state=opened.settings.sessions_need_redis,
        lookups=max(1, opened.settings.pool_size // 2),
    )


def open_signing_in(
    opened: Opened, members: MemberService, people: People, accounts: Accounts, secondary: SecondFactors
) -> SigningIn:
    """Make what opens sessions."""
    return SigningIn(
        check=accounts.check,
        memberships=MembershipService(database=opened.database),
        members=members,
        policies=accounts.policies,
        sessions=SessionService(database=opened.database),
        keys=people.keys,
        issuer=people.issuer,
        state=opened.state,
        forget=people.forget,
        clock=opened.database.clock,
        lasts=timedelta(seconds=opened.settings.access_token_seconds),
        factors=secondary,
        aging=Aging(challenges=secondary.challenges, renewal=accounts.keeping),
        key_lasts=timedelta(days=opened.settings.signing_key_days),
        signed_in=opened.watchers.signed_in,
        refreshed=opened.watchers.refreshed,
    )


def open_single(opened: Opened, members: MemberService, accounts: Accounts, signing_in: SigningIn) -> SingleSignOn:
    """Make what lets people in by their organization's provider."""
    return SingleSignOn(
        signing_in=signing_in,
        policies=accounts.policies,
        federation=FederationService(database=opened.database),
        accounts=accounts.service,
        memberships=accounts.memberships,
        members=members,
        providers=Providers(opened.fetcher),
        database=opened.database,
        state=opened.state,
        clock=opened.database.clock,
        public_url=opened.settings.public_url,
    )


def open_factors(opened: Opened, members: MemberService, people: People, accounts: Accounts) -> FactorFlows:
    """Make what asks for second factors, and what opens sessions, which asks for them."""
    secondary = SecondFactors.over(
        opened.database,
        opened.state,
        accounts.policies,
        public_url=opened.settings.public_url,
        senders=open_code_senders(opened.settings, opened.mailer, opened.sender),
        shown=opened.watchers.factor_shown,
    )
    signing_in = open_signing_in(opened, members, people, accounts, secondary)
    return FactorFlows(accounts=accounts.service, secondary=secondary, signing_in=signing_in)


def issuer_of(settings: Settings) -> Issuer:
    """Give who makes access tokens: the installation, by the address that its clients know it by."""
    return Issuer(name=(settings.public_url or "agentmem").rstrip("/"), audience=AUDIENCE)
