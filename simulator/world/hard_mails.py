"""The hard cases that stand at the beginning of every mailbox, by number and by name."""

from simulator.world.hard_letter import HardMail, Setting
from simulator.world.hard_mail_headers import HEADERS
from simulator.world.hard_mail_parts import PARTS
from simulator.world.hard_mail_texts import TEXTS

HARD_MAILS: tuple[HardMail, ...] = (*TEXTS, *HEADERS, *PARTS)
BY_NAME = {hard.name: hard for hard in HARD_MAILS}

__all__ = ["BY_NAME", "HARD_MAILS", "HardMail", "Setting"]
