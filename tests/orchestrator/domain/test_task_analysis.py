"""Which prompts one answer will do for, and which are worth a plan: decided the same way each time, and explained."""

import time

import pytest

from orchestrator.domain.tasks.analysis import THRESHOLD, analyse
from orchestrator.domain.tasks.structure import READ_CHARACTERS

DIRECT = (
    "What is the capital of France?",
    "Hi, how are you?",
    "Can you help me?",
    "Tell me a joke.",
    "Define entropy.",
    "What is 17 * 23?",
    "Convert 100 USD to EUR.",
    "Write a haiku about autumn.",
    "List five European capitals.",
    "Give me three names for a cat.",
    "Summarise the plot of Hamlet.",
    "Who wrote Faust, and when?",
    "What is the difference between TCP and UDP?",
    "Should I use tabs or spaces? Why?",
    "What is the capital of France? And of Spain? And of Italy?",
    "Explain step by step how photosynthesis works.",
    "Explain the theory of relativity in one sentence.",
    "Briefly compare Python and Go and recommend one.",
    "Name three pros and three cons of remote work.",
    "Describe how to build a bird house.",
    "What should I cook tonight with eggs, milk, and flour?",
    "Write a Python function that checks whether a number is prime.",
    "Write a SQL query that returns the ten best customers by revenue.",
    "Write a haiku and then translate it into French.",
    "Write an email to my landlord about the broken heating and ask for a repair.",
    "Write a comprehensive guide to baking bread.",
    "I feel sad today and I do not know what to do next.",
    "Was ist die Hauptstadt von Frankreich?",
    # Material to work on is not what is asked for, whatever it says.
    "Translate the following text into German: First, open the door. Then, go in. Finally, close it.",
    "Summarise this article:\n\n1. Write it down.\n2. Read it again.\n3. Tell others.",
    "Rewrite this sentence to be more polite: Send me the report now and then call me.",
    'Proofread: "She go to school, then write a letter and then read books and then sleep."',
    'Classify the sentiment of this review: "I first loved it, then hated it."',
    "Fix the bug in this code:\n```python\ndef f(x):\n    # first compute, then write the result\n    return x\n```",
    "Sort these fruits: 1. banana 2. apple 3. cherry",
    "Explain these terms: 1. entropy 2. enthalpy 3. free energy",
    "My shopping list:\n- milk\n- eggs\n- bread\nWhat am I missing for pancakes?",
    "Write a story about a dragon who first learns to fly, then finds a friend and finally returns home.",
)

PLANNED = (
    "1. Research three database engines.\n2. Compare their performance.\n3. Write a recommendation.",
    "1) Summarise the history of Rome 2) List its most important emperors 3) Explain its fall",
    "1. What is a monad?\n2. Why is it useful?\n3. How is it used in Haskell?",
    "Step 1: Outline a novel.\nStep 2: Describe the main characters.\nStep 3: Write the first chapter.",
    "Do the following steps: a) collect requirements b) draft an architecture c) estimate the cost",
    "Please do these tasks:\n- Write a product description\n- Create five slogans\n- Draft a press release",
    "First, list the ten largest cities of Japan. Then find their populations. Finally, write a summary of the trend.",
    "First brainstorm ten ideas for a startup. Next, choose the best one. After that, write a pitch for it.",
    "Translate the poem, then analyse its metre, and finally write a new poem in the same style.",
    "Find the errors in my essay, rewrite it, and then write a letter to my teacher that explains the changes.",
    "Write a Python script that loads a CSV, then write unit tests for it, then explain how to deploy it.",
    "Write a function to parse logs. Write tests for it. Write documentation. Write a changelog entry.",
    "Write a poem about spring, create a title for it, translate it into Spanish, and explain the translation.",
    "Design a database schema for a library, implement it in SQL, write unit tests and document the API.",
    "Analyse the sales data, create a chart, and write a report for the board based on these findings.",
    "Research the market for e-bikes, analyse the competitors, and based on the results write a business plan.",
    "I would like you to research heat pumps, compare them with gas boilers, calculate the costs over ten years"
    " and write a recommendation.",
    "Make a plan and carry it out: compare three cloud providers, estimate costs for each, and recommend one.",
    "Break this down into steps and then build a small web application: design the data model, implement the backend,"
    " write the frontend.",
    "Plan a 5-week course on statistics: outline the curriculum, write exercises for each week, and create a final"
    " exam.",
    "Prepare a literature review on sleep: find the main theories, group them, and write a comprehensive report.",
    "Write a comprehensive report on electric cars covering batteries, charging, cost and policy.",
    "Create an in-depth analysis of renewable energy in Europe including solar, wind, hydro and nuclear.",
    "Create a detailed marketing strategy for a bakery covering target groups, channels, budget and timeline.",
    "What is inflation? What causes it? How is it measured? How can a central bank fight it?",
    "Collect the arguments for and against nuclear power, weigh them in multiple steps, and write an essay.",
    "Generate a dataset of 20 fictional customers, compute the average age, plot it, and describe what you see.",
    'Read "The quick brown fox jumps over the lazy dog", count its letters, then find the missing ones, and finally'
    " write a new pangram using the results.",
)


def test_the_table_is_large_enough() -> None:
    assert len({*DIRECT, *PLANNED}) >= 60


@pytest.mark.parametrize("prompt", DIRECT, ids=lambda prompt: prompt[:40])
def test_one_answer_will_do(prompt: str) -> None:
    analysis = analyse(prompt)
    assert analysis.decision == "direct", analysis.signals


@pytest.mark.parametrize("prompt", PLANNED, ids=lambda prompt: prompt[:40])
def test_a_plan_is_worth_it(prompt: str) -> None:
    analysis = analyse(prompt)
    assert analysis.decision == "plan", analysis.signals


@pytest.mark.parametrize("prompt", [*DIRECT, *PLANNED], ids=lambda prompt: prompt[:40])
def test_the_decision_follows_from_the_signals_that_are_told(prompt: str) -> None:
    analysis = analyse(prompt)
    total = sum(signal.weight for signal in analysis.signals)
    assert (total >= THRESHOLD) == (analysis.decision == "plan")
    assert all(signal.weight for signal in analysis.signals)
    assert all(len(signal.evidence) <= 5 for signal in analysis.signals)
    assert analyse(prompt) == analysis


def test_signals_say_where_they_were_seen() -> None:
    signals = {s.name: s for s in analyse(PLANNED[6]).signals}
    assert signals["sequence_words"].evidence[1] == "Then find their populations."
    assert signals["several_deliverables"].weight == 2.0


@pytest.mark.parametrize(
    "piece", ["a ", "then ", "write, ", "\n", " ", "- write\n", '"', "“", "1. ", "once x", "covering a, ", "(", "\xa0"]
)
def test_no_prompt_takes_long_to_read(piece: str) -> None:
    prompt = (piece * READ_CHARACTERS)[:200_000]
    started = time.perf_counter()
    analyse(prompt)
    assert time.perf_counter() - started < 1.0
