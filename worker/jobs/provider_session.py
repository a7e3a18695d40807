"""Binds the door to a provider to one run: its grant, its gate, its budgets with their owners, its hosts."""

from dataclasses import replace
from uuid import UUID

from worker.connectors.contract import Facts
from worker.jobs.context import JobContext
from worker.settings import Settings
from worker.transport.ports import Budget, BudgetScope
from worker.transport.session import ProviderSession


def open_session(
    context: JobContext, facts: Facts, connection_id: UUID, epoch: int, account_mac: bytes | None
) -> ProviderSession:
    """The provider's API for one connection, for the length of one run.

    A user's budget belongs to the account (by its HMAC), whichever workspaces and connections it is linked by; an
    app's to our project there.

    Raises:
        Misconfigured: our registration at the provider is not in the settings.
    """
    services = context.services
    endpoint = services.endpoints.of(facts)
    gate = context.gate(epoch, connection_id)
    account = account_mac.hex() if account_mac else str(connection_id)
    return ProviderSession(
        services.transport,
        hosts=facts.hosts,
        tokens=services.grants.token_source(context.workspace, connection_id, endpoint, facts.oauth, gate),
        gate=gate,
        books=services.budgets,
        budgets=budgets_of(facts, services.settings),
        owners={
            BudgetScope.APP: services.endpoints.client(facts).project,
            BudgetScope.ACCOUNT: account,
            BudgetScope.USER: account,
        },
        sharer=context.workspace,
        now=services.clock,
    )


def budgets_of(facts: Facts, settings: Settings) -> tuple[Budget, ...]:
    """The provider's limits, each overridden where the deployment's settings know better."""
    return tuple(
        replace(budget, limit=int(settings.own(facts.budget_options[budget.name], budget.limit) or budget.limit))
        if budget.name in facts.budget_options
        else budget
        for budget in facts.budgets
    )
