"""Whatever happens in whatever order: nothing forbidden is commanded, and all are answered in the end."""

from enum import StrEnum, auto

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mlxhub.core.commands import Reject, Ticket, TimedOut
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.rules import GroupRules, ModelRules, Rules
from tests.core.scheduler_world import World

MODELS = ("a", "b", "c")
NEVER = 1e9
# In a fair world every round ends all that is under way and takes this long.
ROUND_SECONDS = 10.0
ROUNDS = 80

names = st.sampled_from(MODELS)
model_rules = st.builds(
    ModelRules,
    jit=st.sampled_from([True] * 7 + [False]),
    pinned=st.sampled_from([False] * 5 + [True]),
    group=st.sampled_from(["g", "g", None]),
)
group_rules = st.builds(GroupRules, st.sampled_from([1, 1, 2]), st.sampled_from([0.0, 30.0, 0.0, None]))
limits = st.sampled_from([None, 60, 60, 90])
hub_rules = st.builds(
    Rules,
    models=st.fixed_dictionaries(dict.fromkeys(MODELS, model_rules)),
    groups=st.fixed_dictionaries({"g": group_rules}),
    memory_limit_bytes=limits,
)


class Surprise(StrEnum):
    """What a worker does that nobody here asked for."""

    CRASH = auto()
    START = auto()
    DIRECT_REQUEST = auto()
    DIRECT_CLIENT_LEAVES = auto()
    LOADED = auto()
    IDLE_UNLOAD = auto()


class SchedulerMachine(RuleBasedStateMachine):
    @initialize(
        rules=hub_rules,
        sizes=st.fixed_dictionaries(dict.fromkeys(MODELS, st.sampled_from([20, 30, 50]))),
        loaded=st.sets(names),
        down=st.sets(names),
    )
    def begin(self, rules: Rules, sizes: dict[str, int], loaded: set[str], down: set[str]) -> None:
        """As a controller finds it: some models are loaded already, as far as their workers' locks allow."""
        self.full_rules = rules
        self.world = World(rules, sizes)
        for name, worker in self.world.workers.items():
            worker.serving = name not in down
            if name in loaded - down and self.world.can_load(name) is None:
                worker.memory, worker.last_used = ModelState.READY, self.world.now
        self.everything_is_looked_at()

    @rule(name=names, patience=st.sampled_from([5.0, NEVER]))
    def somebody_asks(self, name: str, patience: float) -> None:
        self.world.ask(name, self.world.now + patience)

    @precondition(lambda self: self.world.waiting or self.world.leases)
    @rule(data=st.data())
    def a_client_leaves(self, data: st.DataObject) -> None:
        self.world.cancel(data.draw(st.sampled_from([*self.world.waiting, *self.world.leases])))

    @precondition(lambda self: self.world.leases)
    @rule(data=st.data())
    def an_answer_is_over(self, data: st.DataObject) -> None:
        self.world.release(data.draw(st.sampled_from([*self.world.leases])))

    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(name=names)
    def a_look_begins(self, name: str) -> None:
        self.world.begin_look(name)

    @precondition(lambda self: self.world.looks)
    @rule(data=st.data())
    def a_look_ends(self, data: st.DataObject) -> None:
        self.world.end_look(data.draw(st.sampled_from(self.world.looks)))

    @rule()
    def everything_is_looked_at(self) -> None:
        for name in self.world.rules.models:
            self.world.begin_look(name)
            self.world.end_look(self.world.looks[-1])

    @precondition(lambda self: self.world.begun)
    @rule()
    def all_that_was_asked_is_done_and_told(self) -> None:
        for work in [*self.world.begun]:
            self.world.carry_out(work)
        for work, outcome in [*self.world.answers]:
            self.world.answer(work, outcome)

    @rule(name=names, other=names, patience=st.sampled_from([5.0, NEVER]))
    def somebody_uses_one_and_somebody_wants_another(self, name: str, other: str, patience: float) -> None:
        self.world.ask(name, NEVER)
        self.world.ask(other, self.world.now + patience)

    @precondition(lambda self: self.world.begun)
    @rule(data=st.data(), well=st.sampled_from([True, True, False]))
    def a_worker_does_what_was_asked(self, data: st.DataObject, well: bool) -> None:
        self.world.carry_out(data.draw(st.sampled_from(self.world.begun)), well=well)

    @precondition(lambda self: self.world.answers)
    @rule(data=st.data())
    def an_answer_arrives(self, data: st.DataObject) -> None:
        self.world.answer(*data.draw(st.sampled_from(self.world.answers)))

    @precondition(lambda self: self.world.old_answers)
    @rule(data=st.data())
    def an_answer_arrives_again(self, data: st.DataObject) -> None:
        self.world.answer_again(*data.draw(st.sampled_from(self.world.old_answers)))

    @rule(name=names, what=st.sampled_from(Surprise))
    def a_worker_changes_by_itself(self, name: str, what: Surprise) -> None:
        worker = self.world.workers[name]
        match what:
            case Surprise.CRASH:
                self.world.crash(name)
            case Surprise.START:
                worker.serving = True
            case Surprise.DIRECT_REQUEST if worker.serving:
                if worker.memory is not ModelState.UNLOADED:
                    worker.direct += 1
                elif self.world.can_load(name) is None:
                    worker.memory, worker.direct = ModelState.LOADING, 1
            case Surprise.DIRECT_CLIENT_LEAVES if worker.direct:
                worker.direct -= 1
                worker.last_used = self.world.now
            case Surprise.LOADED if worker.memory is ModelState.LOADING:
                worker.memory = ModelState.READY
            case Surprise.IDLE_UNLOAD if worker.memory is ModelState.READY and not worker.direct:
                worker.memory = ModelState.UNLOADED

    @rule(name=names, what=st.sampled_from(Surprise))
    def a_worker_changes_and_is_seen(self, name: str, what: Surprise) -> None:
        self.a_worker_changes_by_itself(name, what)
        if name in self.world.rules.models:
            self.world.begin_look(name)
            self.world.end_look(self.world.looks[-1])

    @rule(size=st.sampled_from([0, 30]))
    def another_program_takes_memory(self, size: int) -> None:
        self.world.elsewhere_bytes = size

    @rule(group=group_rules, limit=limits, gone=st.none() | names)
    def hub_yaml_is_reloaded(self, group: GroupRules, limit: int | None, gone: str | None) -> None:
        models = {name: model for name, model in self.full_rules.models.items() if name != gone}
        self.world.reload(Rules(models, {"g": group}, limit))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.everybody_is_answered()

    def everybody_is_answered(self) -> None:
        """In a fair world, though somebody uses one model without a pause."""
        world = self.world
        asked = dict(world.waiting)
        loaded = [name for name, worker in world.workers.items() if worker.memory is ModelState.READY]
        used = next((name for name in loaded if name in world.rules.models), MODELS[0])
        for _ in range(ROUNDS):
            if not any(ticket in world.waiting for ticket in asked):
                break
            latest = world.ask(used, NEVER)
            for _ in range(3):
                self.all_that_is_under_way_ends(but=latest)
            world.pass_time(ROUND_SECONDS)
        assert not any(ticket in world.waiting for ticket in asked)
        for ticket in asked:
            match world.answered[ticket]:
                case Reject(reason=TimedOut()):
                    assert ticket.deadline < NEVER, "nobody kept it from being answered"

    def all_that_is_under_way_ends(self, but: Ticket) -> None:
        world = self.world
        self.all_that_was_asked_is_done_and_told()
        for ticket in [ticket for ticket in world.leases if ticket != but]:
            world.release(ticket)
        for name, worker in world.workers.items():
            worker.direct = 0
            if worker.memory is ModelState.LOADING:
                worker.memory = ModelState.READY
            if name in world.rules.models:
                world.begin_look(name)
                world.end_look(world.looks[-1])


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=400, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
