"""What the trainer's tests share: its settings, the object store, steps to work on and models small enough to train."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from common.bus import Bus, Handlers
from common.datafiles.limits import Limits
from common.objects import Objects, S3Path
from common.settings import ServiceSettings
from contracts import orchestrator as contract
from contracts.base import Refused
from contracts.orchestrator import ClaimedStep, FinishStep, LogRecord
from contracts.pipeline import AgentOutput, GlobalConfig
from contracts.registry import Dataset
from embedded.endpoints import Endpoints
from trainer.agents.assignment import Assignment
from trainer.domain.steering import StepSteering
from trainer.engine.orders import StorageAccess
from trainer.settings import Settings

_TEXT = [
    "What does the function do and how is it called? It returns the answer to the question.",
    "### Instruction: ### Response: [INST] [/INST] <<SYS>> <</SYS>> Below is an instruction that describes a task.",
]

MakeStep = Callable[..., ClaimedStep]


@pytest.fixture(scope="session")
def settings(servers: Endpoints, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings that `make run` gives a trainer."""
    access = servers["trainer"]
    return Settings(
        nats_url=access.nats_url,
        nats_user=access.nats_user,
        nats_password=access.nats_password,
        database_url=access.database_url,
        s3_endpoint=access.s3_endpoint,
        s3_access_key=access.s3_access_key,
        s3_secret_key=access.s3_secret_key,
        models_dir=models_dir,
        work_dir=tmp_path_factory.mktemp("work"),
        poll_seconds=0.5,
    )


@pytest.fixture(scope="session")
def objects(settings: Settings) -> Objects:
    """The object store, as the trainer sees it."""
    return Objects.from_settings(settings)


@pytest.fixture
def run_id() -> str:
    return f"run-{secrets.token_hex(6)}"


@pytest.fixture
def make_step(run_id: str) -> MakeStep:
    """A claimed step of this test's run."""

    def make(
        agent_class: str,
        config: dict[str, Any] | None = None,
        inputs: Sequence[AgentOutput] = (),
        *,
        global_config: GlobalConfig | None = None,
        **fields: Any,
    ) -> ClaimedStep:
        name = agent_class.removesuffix("Agent").lower()
        defaults: dict[str, Any] = {
            "step_id": secrets.randbelow(1 << 40),
            "fence": 1,
            "attempt": 1,
            "lease_seconds": 3.0,
            "deadline": datetime.now(UTC) + timedelta(minutes=5),
            "job_id": f"job_{run_id}",
            "run_id": run_id,
            "agent_name": name,
        }
        return ClaimedStep(
            **{**defaults, **fields},
            agent_class=agent_class,
            config=config or {},
            global_config=global_config or GlobalConfig(),
            inputs=list(inputs),
        )

    return make


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` begins a text with nothing and has no chat template; `begins` has both."""
    root = tmp_path_factory.mktemp("models")
    _make_model(root / "tiny", adds_begin_token=False, chat_template=None)
    _make_model(
        root / "begins",
        adds_begin_token=True,
        chat_template="{{ bos_token }}{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
    )
    return root


def _make_model(folder: Path, *, adds_begin_token: bool, chat_template: str | None) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _TEXT,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<s>", "</s>", "<pad>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if adds_begin_token:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    if chat_template is not None:
        fast.chat_template = chat_template
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    ).save_pretrained(folder)


class Journal:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.numbers: list[dict[str, float]] = []

    def log(self, level: str, message: str, **numbers: float) -> None:
        self.lines.append((level, message))
        if numbers:
            self.numbers.append(numbers)

    def text(self, level: str) -> str:
        return "\n".join(message for at, message in self.lines if at == level)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def assign(objects: Objects, models_dir: Path, journal: Journal, tmp_path: Path) -> Callable[..., Assignment]:
    """A step as its agent gets it; each in a folder of its own."""

    def assignment(step: ClaimedStep, dataset: Dataset | None = None) -> Assignment:
        directory = tmp_path / "work" / str(step.step_id)
        directory.mkdir(parents=True)
        steering = StepSteering(step.adjustments)
        return Assignment(step, dataset, objects, journal, steering, Limits(), models_dir, directory)

    return assignment


@pytest.fixture
def put_dataset(objects: Objects) -> Callable[[str | bytes, str], str]:
    """Stores a data set's file as an upload does; returns its path."""

    def put(content: str | bytes, name: str = "data.csv") -> str:
        path = S3Path("datasets", f"ds_{secrets.token_hex(6)}/{name}")
        objects.put_bytes(path, content.encode() if isinstance(content, str) else content)
        return str(path)

    return put


@pytest.fixture(scope="session")
def stub_child() -> list[str]:
    """The command of a child whose agents do what a test says."""
    return [sys.executable, str(Path(__file__).with_name("stub_child.py"))]


@pytest.fixture(scope="session")
def storage(settings: Settings) -> StorageAccess:
    return StorageAccess(
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        region=settings.s3_region,
    )


@dataclass
class Script:
    """What the orchestrator does: which steps are ready, what it answers to heartbeats, what it was told."""

    ready: list[ClaimedStep] = field(default_factory=list)
    verdicts: dict[int, Literal["held", "pause", "cancel", "lost"]] = field(default_factory=dict)
    adjustments: list[contract.StepAdjustment] = field(default_factory=list)
    beats: list[contract.BeatSteps] = field(default_factory=list)
    finished: list[FinishStep] = field(default_factory=list)
    claims: list[contract.ClaimStep] = field(default_factory=list)
    to_free: list[contract.EndedStep] = field(default_factory=list)
    refuse: Refused | None = None
    to_forget: list[str] = field(default_factory=list)
    reused: list[contract.ReuseResult] = field(default_factory=list)
    records: bool = True
    grants: bool = True
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    def claim(self, request: contract.ClaimStep) -> ClaimedStep | None:
        self.claims.append(request)
        for step in self.ready:
            if step.agent_class in request.agent_classes and request.step_id in (None, step.step_id):
                self.ready.remove(step)
                return step
        return None

    def finish(self, request: FinishStep) -> None:
        if self.refuse is not None:
            refused, self.refuse = self.refuse, None
            raise refused
        self.finished.append(request)
        self._told.set()

    async def outcome(self, step: ClaimedStep, within: float = 15.0) -> Any:
        """What the worker told of the step."""
        async with asyncio.timeout(within):
            while True:
                for request in self.finished:
                    if request.step_id == step.step_id:
                        return request.result
                self._told.clear()
                await self._told.wait()


HANDLERS = Handlers[Script]()


@HANDLERS.on(contract.CLAIM_STEP)
async def claim(script: Script, request: contract.ClaimStep) -> contract.ClaimReply:
    return contract.ClaimReply(step=script.claim(request))


@HANDLERS.on(contract.BEAT_STEPS)
async def beat(script: Script, request: contract.BeatSteps) -> contract.BeatReply:
    script.beats.append(request)
    verdicts = [
        contract.StepVerdict(
            step_id=held.step_id,
            verdict=script.verdicts.get(held.step_id, "held"),
            adjustments=[one for one in script.adjustments if one.number > held.adjusted],
        )
        for held in request.steps
    ]
    return contract.BeatReply(verdicts=verdicts)


@HANDLERS.on(contract.FINISH_STEP)
async def finish(script: Script, request: FinishStep) -> contract.FinishReply:
    script.finish(request)
    return contract.FinishReply(recorded=script.records)


@HANDLERS.on(contract.FREE_STEPS)
async def free(script: Script, request: contract.FreeSteps) -> contract.StepsToFree:
    script.to_free = [step for step in script.to_free if step.step_id not in request.freed]
    return contract.StepsToFree(steps=script.to_free[:2])


@HANDLERS.on(contract.REUSE_RESULT)
async def reuse(script: Script, request: contract.ReuseResult) -> contract.ReuseReply:
    script.reused.append(request)
    return contract.ReuseReply(granted=script.grants)


@HANDLERS.on(contract.FORGET_RESULTS)
async def forget(script: Script, request: contract.ForgetResults) -> contract.ResultsToForget:
    script.to_forget = [run_id for run_id in script.to_forget if run_id not in request.forgotten]
    return contract.ResultsToForget(run_ids=script.to_forget[:1])


@pytest.fixture
def orchestrator_settings(servers: Endpoints) -> ServiceSettings:
    access = servers["orchestrator"]
    return ServiceSettings(nats_url=access.nats_url, nats_user=access.nats_user, nats_password=access.nats_password)


@pytest.fixture
async def orchestrator(orchestrator_settings: ServiceSettings) -> AsyncIterator[Bus]:
    bus = await Bus.connect(orchestrator_settings, "orchestrator")
    yield bus
    await bus.close()


@pytest.fixture
async def script(orchestrator: Bus) -> Script:
    """An orchestrator whose part this test writes."""
    script = Script()
    await orchestrator.serve(HANDLERS, script)
    return script


@pytest.fixture
def play(orchestrator_settings: ServiceSettings) -> Callable[[Script], AbstractAsyncContextManager[None]]:
    """Another orchestrator process with the same memory, for the duration of the block."""

    @asynccontextmanager
    async def playing(script: Script) -> AsyncIterator[None]:
        bus = await Bus.connect(orchestrator_settings, "orchestrator")
        await bus.serve(HANDLERS, script)
        yield
        await bus.close()

    return playing


@pytest.fixture
async def log_of(servers: Endpoints) -> AsyncIterator[Callable[[str, int], Awaitable[list[LogRecord]]]]:
    """The first records of a run, as a reader at the gateway gets them."""
    access = servers["gateway"]
    bus = await Bus.connect(
        ServiceSettings(nats_url=access.nats_url, nats_user=access.nats_user, nats_password=access.nats_password),
        "gateway",
    )

    async def read(run_id: str, count: int) -> list[LogRecord]:
        records: list[LogRecord] = []
        async with asyncio.timeout(10), aclosing(bus.follow(contract.LOG_RECORDED, key=run_id, after=0)) as source:
            async for delivered in source:
                records.append(delivered.body)
                if len(records) == count:
                    break
        return records

    yield read
    await bus.close()
