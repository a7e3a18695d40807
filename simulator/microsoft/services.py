"""Which parts of Graph are played: one builder each."""

from collections.abc import Callable

from simulator.microsoft.contacts import contact_service
from simulator.microsoft.events import event_service
from simulator.microsoft.mail import mail_service
from simulator.microsoft.service import Parts, Service

SERVICES: tuple[Callable[[Parts], Service], ...] = (contact_service, mail_service, event_service)
