"""Sending mails: the secret of each is made in the moment before, so that no queue ever holds one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from agentmem.errors import NotFound
from agentmem.features.identity.accounts.model import MailPurpose
from agentmem.features.identity.accounts.self_service import SelfService
from agentmem.features.identity.accounts.work import MAIL
from agentmem.features.organizations.invitations import InvitationService
from agentmem.features.organizations.service import OrganizationService
from agentmem.features.organizations.work import INVITE
from agentmem.foundation.authorization.caller import Caller, accounts_caller, service_caller
from agentmem.foundation.jobs.model import Job, Work
from agentmem.foundation.mail.port import Mailer
from agentmem.pipelines.accounts.letters import Letters


@dataclass(frozen=True, kw_only=True)
class Mailing:
    """Does the jobs that send mail; a mail that was not taken is sent again, with another secret."""

    letters: Letters
    mailer: Mailer
    self_service: SelfService
    invitations: InvitationService
    organizations: OrganizationService

    def works(self) -> Sequence[Work]:
        """Name the kinds of jobs that are done here."""
        return [Work(kind=MAIL, run=self.send), Work(kind=INVITE, run=self.invite)]

    async def send(self, _caller: Caller, job: Job) -> None:
        """Send what a person asked for; nothing where there is no account that it would be for."""
        caller = accounts_caller()
        letter = await self.self_service.find(caller, UUID(str(job.arguments["mail_id"])))
        if letter is None:
            return
        registering = letter.purpose is MailPurpose.REGISTER
        if registering == (letter.account_id is None):
            with suppress(NotFound):  # another one was asked for meanwhile
                await self.mailer.send(self.letters.to_person(await self.self_service.prepare(caller, letter)))
        elif registering:
            await self.mailer.send(self.letters.to_person(letter))

    async def invite(self, caller: Caller, job: Job) -> None:
        """Send an invitation, as whoever invites."""
        with suppress(NotFound):  # taken back meanwhile
            invitation, secret = await self.invitations.prepare(caller, UUID(str(job.arguments["invitation_id"])))
            organization = await self.organizations.view(service_caller(caller.organization_id))
            await self.mailer.send(self.letters.of_invitation(invitation, organization.name, secret))
