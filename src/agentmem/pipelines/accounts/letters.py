"""What is written to people, in words."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.features.identity.accounts.model import Letter, MailPurpose
from agentmem.foundation.mail.port import Mail
from agentmem.schemas.invitations import Invitation


@dataclass(frozen=True, kw_only=True, slots=True)
class Letters:
    """Writes mails; ``page`` is where their secrets are entered, if there is such a page."""

    page: str | None = None

    def to_person(self, letter: Letter) -> Mail:
        """Write what a person asked for, or that somebody did."""
        if letter.secret is None:
            return Mail(to=letter.email, subject="You have an AgentMem account", text=_KNOWN)
        subject, text = _TEXTS[letter.purpose]
        link = self._link(letter.purpose.value, letter.secret)
        return Mail(to=letter.email, subject=subject, text=text.format(link=link, minutes=letter.purpose.minutes))

    def of_invitation(self, invitation: Invitation, organization: str, secret: str) -> Mail:
        """Write an invitation."""
        text = _INVITED.format(
            organization=organization,
            link=self._link("invitation", secret),
            until=f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC",
        )
        return Mail(to=invitation.email, subject="You are invited to AgentMem", text=text)

    def _link(self, name: str, secret: str) -> str:
        # After a # it is sent to no server, and stands in no log.
        return secret if self.page is None else f"{self.page}#{name}={secret}"


_KNOWN = """Somebody, perhaps you, asked to register an account for this address.
It has one already: sign in, or reset its password if you do not know it any more.
"""
_REGISTER = """Somebody, perhaps you, asked to register an AgentMem account for this address.
To confirm it and choose a password, use this within {minutes} minutes:

    {link}

If it was not you, do nothing: no account is made.
"""
_RESET = """Somebody, perhaps you, asked to reset the password of your AgentMem account.
To choose another one, use this within {minutes} minutes:

    {link}

If it was not you, do nothing: your password stays as it is.
"""
_UNLOCK = """There were too many guesses at the password of your AgentMem account.
Somebody, perhaps you, asked to unlock it.
To do so, use this within {minutes} minutes:

    {link}

If it was not you, do nothing: it unlocks by itself.
"""
_TEXTS = {
    MailPurpose.REGISTER: ("Confirm your address", _REGISTER),
    MailPurpose.RESET: ("Reset your password", _RESET),
    MailPurpose.UNLOCK: ("Unlock your account", _UNLOCK),
}
_INVITED = """You are invited to the organization {organization} on AgentMem.
To accept, use this until {until}:

    {link}

"""
