"""What a connector says of itself: complete, with reasons and sources, and with a rule for each kind that it writes."""

from worker.connectors.policy import policy_of
from worker.errors import Misconfigured
from worker.kit.scene import NotHeld, Scene, require


def has_rules(scene: Scene) -> None:
    """The connector's policy has a rule for the stream's kind.

    Raises:
        NotHeld: it has none.
    """
    name = scene.connector.facts.name
    try:
        policy = policy_of(name)
    except Misconfigured as error:
        raise NotHeld(str(error)) from None
    kind = scene.stream.kind.value
    require(kind in policy.keep, f"policies/{name}.toml has no rule [keep.{kind}] for what the stream writes")


def are_complete(scene: Scene) -> None:
    """Nothing that an operator or a customer will ask is left out of the facts.

    Raises:
        NotHeld: something is.
    """
    facts, stream = scene.connector.facts, scene.stream
    missing = [scope for scope in (*facts.oauth.identity_scopes, *stream.scopes) if not facts.scope_reasons.get(scope)]
    require(not missing, f"facts.scope_reasons does not say why {', '.join(missing)} is asked for")
    require(bool(stream.deletions), "the stream does not say how it learns of deletions (`deletions`)")
    require(bool(stream.cursor), "the stream does not say what its cursor is and how it dies (`cursor`)")
    require(bool(facts.docs), "facts.docs names no page of the provider")
    require(bool(facts.api_version), "facts.api_version does not say which version is spoken")
    require(bool(facts.budgets), "facts.budgets names no limit of the provider")
    unsourced = [budget.name for budget in facts.budgets if not budget.source]
    require(not unsourced, f"no source is named for the budget {', '.join(unsourced)}")
