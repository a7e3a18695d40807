"""Which of Google's APIs are played: one builder each, in the order in which their addresses are tried."""

from collections.abc import Callable

from simulator.google.calendar_service import calendar_service
from simulator.google.gmail_service import gmail_service
from simulator.google.people_service import people_service
from simulator.google.photos import photo_service
from simulator.google.service import Parts, Service

SERVICES: tuple[Callable[[Parts], Service], ...] = (people_service, calendar_service, gmail_service, photo_service)
