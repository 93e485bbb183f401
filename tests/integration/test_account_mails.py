"""What people do with the mails that they are sent: register, accept, reset and unlock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.errors import Conflict, MailUnavailable, NotFound, PermissionDenied, Unauthenticated, WeakPassword
from agentmem.features.identity.accounts.model import ENDED, MailPurpose
from agentmem.features.identity.accounts.self_service import SelfService
from agentmem.features.identity.model import principal_of
from agentmem.foundation.authorization.caller import Caller, accounts_caller, service_caller
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.jobs.model import Job
from agentmem.kit.ids import AccountId, JobId
from agentmem.pipelines.accounts.parts import Accounts
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import MemberPatch
from agentmem.schemas.policies import PasswordPolicy, PasswordPreset
from tests.support.mailbox import Mailbox
from tests.support.people import ANOTHER, PASSWORD, account_of, address
from tests.support.stores import Owner, Store
from tests.support.tenants import operator_of


class Office:
    """The accounts of an application that sends mail to a mailbox; jobs are done when a test says so."""

    def __init__(self, app: App, owner: Owner, mailbox: Mailbox, **settings: object) -> None:
        self.app, self.owner, self.mailbox = app, owner, mailbox
        told = app.settings.model_copy(update={"open_registration": True, **settings})
        self.accounts = Accounts.over(app.database, app.state, app.accounts.passwords, mailbox, told)

    async def deliver(self, caller: Caller | None = None) -> None:
        """Do the jobs that send mail, of an organization or of the platform, as a worker would."""
        assert self.accounts.mailing is not None
        caller = caller or service_caller(platform_id())
        works = {work.kind.name: work.run for work in self.accounts.works()}
        waiting = self.owner.execute(
            "DELETE FROM agentmem.jobs WHERE organization_id = %s AND kind = ANY (%s) "
            "RETURNING job_id, kind, arguments",
            [caller.organization_id, list(works)],
        ).fetchall()
        for job_id, kind, arguments in waiting:
            job = Job(
                id=JobId(UUID(str(job_id))),
                kind=str(kind),
                arguments={str(name): str(value) for name, value in dict(cast("dict[str, str]", arguments)).items()},
                attempt=1,
                tries=1,
                asked_by=caller.principal_id,
            )
            await works[job.kind](caller, job)


def _signed_in(caller: Caller, account_id: UUID) -> Caller:
    return replace(caller, account_id=AccountId(account_id))


def _requests(owner: Owner) -> int:
    """Count the mails that were ever asked for."""
    row = owner.execute(
        "SELECT count(*) FROM agentmem.audit_entries WHERE action = 'account.mail_requested'"
    ).fetchone()
    return 0 if row is None else int(str(row[0]))


@pytest.fixture
async def office(store: Store, owner: Owner) -> Office:
    await operator_of(store.app)
    return Office(store.app, owner, Mailbox())


async def test_whoever_has_the_mailbox_registers_an_account(office: Office) -> None:
    email = address()
    await office.accounts.registering.ask(email.upper())
    await office.deliver()
    secret = office.mailbox.secret(email)
    with pytest.raises(WeakPassword, match="fewer than 15"):
        await office.accounts.registering.register(secret, "Ada", "too short")

    account = await office.accounts.registering.register(secret, "Ada", PASSWORD)

    assert (account.email, account.name) == (email, "Ada")
    assert account.verified_at is not None
    assert (await office.accounts.check.verify(email, PASSWORD)).account_id == account.id
    with pytest.raises(NotFound, match="not valid"):
        await office.accounts.registering.register(secret, "Eve", ANOTHER)


async def test_registration_is_closed_unless_the_settings_open_it(store: Store, owner: Owner) -> None:
    closed = Office(store.app, owner, Mailbox(), open_registration=False)

    with pytest.raises(PermissionDenied, match="by invitation"):
        await closed.accounts.registering.ask(address())


async def test_whoever_registers_a_known_address_is_written_to_and_told_nothing(office: Office) -> None:
    account = await account_of(office.app, accounts_caller())
    await office.accounts.registering.ask(account.email)
    await office.deliver()

    (mail,) = [mail for mail in office.mailbox.mails if mail.to == account.email]
    assert "has one already" in mail.text
    assert "amt_" not in mail.text


async def test_reset_is_mailed_to_accounts_alone_and_asked_for_alike(office: Office, owner: Owner) -> None:
    account, nobody = await account_of(office.app, accounts_caller()), address()
    before = _requests(owner)
    await office.accounts.asking.ask(MailPurpose.RESET, account.email)
    known = _requests(owner) - before
    await office.accounts.asking.ask(MailPurpose.RESET, nobody)
    unknown = _requests(owner) - before - known
    await office.deliver()

    assert known == unknown == 1
    assert {mail.to for mail in office.mailbox.mails} & {account.email, nobody} == {account.email}


async def test_reset_sets_a_password_once_and_ends_what_came_before(office: Office) -> None:
    account = await account_of(office.app, accounts_caller())
    await office.accounts.asking.ask(MailPurpose.RESET, account.email)
    await office.deliver()
    secret = office.mailbox.secret(account.email)
    for _ in range(6):
        with pytest.raises(Unauthenticated):
            await office.accounts.check.verify(account.email, "a guess")

    async with office.app.state.subscribe(ENDED) as ended:
        await office.accounts.keeping.reset(secret, ANOTHER)
        told = await asyncio.wait_for(anext(ended), 5)

    assert told == str(account.id)
    assert (await office.accounts.check.verify(account.email, ANOTHER)).account_id == account.id
    with pytest.raises(Unauthenticated):
        await office.accounts.check.verify(account.email, PASSWORD)
    with pytest.raises(NotFound, match="not valid"):
        await office.accounts.keeping.reset(secret, PASSWORD)
    after = await office.accounts.service.get(accounts_caller(), AccountId(account.id))
    assert after.valid_after > account.valid_after


async def test_secret_of_a_reset_is_used_by_one_of_two(office: Office) -> None:
    account = await account_of(office.app, accounts_caller())
    await office.accounts.asking.ask(MailPurpose.RESET, account.email)
    await office.deliver()
    secret = office.mailbox.secret(account.email)
    own = office.accounts.registering.self_service
    done = await asyncio.gather(
        *(own.reset(accounts_caller(), secret, "a hash", 0) for _ in range(8)), return_exceptions=True
    )

    assert sum(isinstance(one, NotFound) for one in done) == 7


@pytest.mark.parametrize("spoilt", ["", "amt_", "amt_" + "0" * 22 + "_" + "0" * 49])
async def test_secret_that_was_never_sent_is_not_valid(office: Office, spoilt: str) -> None:
    with pytest.raises(NotFound, match="not valid"):
        await office.accounts.keeping.reset(spoilt, ANOTHER)


async def test_secret_of_one_purpose_is_none_of_another_and_ends_in_time(office: Office) -> None:
    account = await account_of(office.app, accounts_caller())
    await office.accounts.asking.ask(MailPurpose.UNLOCK, account.email)
    await office.deliver()
    secret = office.mailbox.secret(account.email)
    later = SelfService(database=replace(office.app.database, ahead=timedelta(minutes=61)))

    with pytest.raises(NotFound, match="not valid"):
        await office.accounts.keeping.reset(secret, ANOTHER)
    with pytest.raises(NotFound, match="not valid"):
        await replace(office.accounts.keeping, self_service=later).unlock_by_mail(secret)


async def test_owner_unlocks_by_mail_what_guesses_have_locked(office: Office) -> None:
    account = await account_of(office.app, accounts_caller())
    for _ in range(6):
        with pytest.raises(Unauthenticated):
            await office.accounts.check.verify(account.email, "a guess")
    with pytest.raises(Unauthenticated):
        await office.accounts.check.verify(account.email, PASSWORD)
    await office.accounts.asking.ask(MailPurpose.UNLOCK, account.email)
    await office.deliver()
    await office.accounts.keeping.unlock_by_mail(office.mailbox.secret(account.email))

    assert (await office.accounts.check.verify(account.email, PASSWORD)).account_id == account.id


async def test_job_of_a_mail_that_was_not_taken_fails_so_that_it_is_done_again(office: Office) -> None:
    account = await account_of(office.app, accounts_caller())
    await office.accounts.asking.ask(MailPurpose.RESET, account.email)
    office.mailbox.away = True
    with pytest.raises(MailUnavailable):
        await office.deliver()


async def test_nobody_is_written_to_more_often_than_the_limit(office: Office) -> None:
    account = await account_of(office.app, accounts_caller())
    before = _requests(office.owner)
    for _ in range(10):
        await office.accounts.asking.ask(MailPurpose.RESET, account.email)
    asked = _requests(office.owner) - before
    await office.deliver()

    assert asked == office.app.settings.mail_limit
    assert len([mail for mail in office.mailbox.mails if mail.to == account.email]) == 1


async def test_invited_person_becomes_a_member(office: Office, memory: AsyncMemory) -> None:
    caller, email = memory.app.caller, address()
    await office.accounts.policies.update(caller, PasswordPolicy(preset=PasswordPreset.ASVS_L2, min_length=20))
    await office.accounts.registering.invite(caller, email, Role.ADMIN)
    await office.deliver(caller)
    secret = office.mailbox.secret(email)
    with pytest.raises(WeakPassword, match="fewer than 20"):
        await office.accounts.registering.accept_new(secret, "Ada", "nine owls at mill")

    account = await office.accounts.registering.accept_new(secret, "Ada", PASSWORD)

    (membership,) = await office.accounts.memberships.of_account(AccountId(account.id))
    member = await memory.app.members.get(caller, membership.member_id)
    assert membership.organization_id == caller.organization_id
    assert (member.role, member.account_id, member.name) == (Role.ADMIN, account.id, "Ada")
    assert (await office.accounts.invitations.page(caller)).items == []
    with pytest.raises(NotFound, match="invitation is not valid"):
        await office.accounts.registering.accept_new(secret, "Eve", ANOTHER)


async def test_known_person_accepts_an_invitation_to_their_own_address_alone(
    office: Office, memory: AsyncMemory
) -> None:
    caller = memory.app.caller
    account, other = [await account_of(office.app, accounts_caller()) for _ in range(2)]
    await office.accounts.registering.invite(caller, account.email, Role.MEMBER)
    await office.deliver(caller)
    secret = office.mailbox.secret(account.email)
    with pytest.raises(Conflict, match="has an account"):
        await office.accounts.registering.accept_new(secret, "Ada", PASSWORD)
    with pytest.raises(PermissionDenied, match="another address"):
        await office.accounts.registering.accept(_signed_in(caller, other.id), secret)

    member = await office.accounts.registering.accept(_signed_in(caller, account.id), secret)

    assert member.account_id == account.id


async def test_invitation_of_somebody_who_may_not_invite_any_more_is_worth_nothing(
    office: Office, memory: AsyncMemory
) -> None:
    app, local, email = memory.app, memory.app.caller, address()
    admin = await app.members.ensure_owner(local, "admin", Role.ADMIN)
    inviting = replace(local, principal_id=principal_of(admin))
    await office.accounts.registering.invite(inviting, email, Role.MEMBER)
    await office.deliver(inviting)
    await app.members.update(local, admin, MemberPatch(disabled=True))

    with pytest.raises(PermissionDenied, match="may not invite"):
        await office.accounts.registering.accept_new(office.mailbox.secret(email), "Ada", PASSWORD)


async def test_invitation_that_was_taken_back_is_worth_nothing(office: Office, memory: AsyncMemory) -> None:
    caller, email = memory.app.caller, address()
    made = await office.accounts.registering.invite(caller, email, Role.MEMBER)
    await office.deliver(caller)
    await office.accounts.invitations.revoke(caller, made.id)

    with pytest.raises(NotFound, match="invitation is not valid"):
        await office.accounts.registering.accept_new(office.mailbox.secret(email), "Ada", PASSWORD)
