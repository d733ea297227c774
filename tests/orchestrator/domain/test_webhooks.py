"""What a webhook is known by, and what it is sent becomes."""

from orchestrator.domain.workflows.webhooks import inputs_of, mint, opens, parse, signing_secret, token


def test_a_token_names_its_webhook_and_opens_it_alone() -> None:
    secret, other = mint(signed=False), mint(signed=False)
    parsed = parse(token(7, secret))
    assert parsed == (7, secret.text)
    assert opens(secret.text, secret.digest)
    assert not opens(other.text, secret.digest)
    assert [parse(text) for text in ("", "hook_7_", f"key_7_{secret.text}", token(7, secret) + "x")] == [None] * 4


def test_the_signing_secret_follows_from_what_is_kept_and_what_is_not() -> None:
    secret = mint(signed=True)
    assert signing_secret(secret.text, secret.salt) == signing_secret(secret.text, secret.salt) is not None
    assert signing_secret("guessed", secret.salt) != signing_secret(secret.text, secret.salt)
    assert signing_secret(secret.text, None) is None


def test_a_body_becomes_the_inputs_that_the_workflow_declares() -> None:
    body = {"topic": "rivers", "length": 3, "-": 1}
    assert inputs_of(body, {"topic": None, "tone": "dry"}) == {"topic": "rivers"}
    assert inputs_of(body, {"topic": None, "body": None}) == {"topic": "rivers", "body": body}
    assert inputs_of({"body": "own"}, {"body": None}) == {"body": "own"}


def test_without_declared_inputs_all_that_prompts_may_name_is_taken() -> None:
    assert inputs_of({"topic": "rivers", "-": 1}, {}) == {"topic": "rivers"}
    assert len(inputs_of({f"n{number}": number for number in range(500)}, {})) == 200


def test_what_is_no_object_is_the_body_as_a_whole() -> None:
    assert (inputs_of(["a", "b"], {}), inputs_of("text", {"topic": None})) == ({"body": ["a", "b"]}, {"body": "text"})
    assert inputs_of(None, {}) == {}
