"""A data set is uploaded and checked, its log followed live, and a model asked. Needs a running platform and its key:

LLM_PLATFORM_URL=http://localhost:8000 LLM_PLATFORM_API_KEY=$(cat .platform/admin.key) python tour.py
"""

import tempfile
from pathlib import Path

from llm_platform import ApiError, Client

ROWS = "question,answer\nWhat is a llama?,A camelid.\nWhere does it live?,In the Andes.\n"

with Client() as client, tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "llamas.csv"
    file.write_text(ROWS)

    dataset = client.datasets.upload(file, progress=lambda done, total: print(f"sent {done} of {total} bytes"))
    print(f"{dataset.dataset_id} has {dataset.rows} rows: {', '.join(dataset.columns)}")

    job = client.jobs.create({"template": "validate", "dataset_id": dataset.dataset_id})
    for log in client.logs.stream(job.run_id):
        print(f"[{log.level}] {log.message}")
    print(f"{job.job_id} is {job.wait().status}")

    question = [{"role": "user", "content": "What is a llama?"}]
    for chunk in client.chat.stream(model="default", messages=question, max_tokens=16):
        print("".join(choice.delta.content or "" for choice in chunk.choices), end="")
    print()

    try:
        client.models.get("nobody")
    except ApiError as error:
        print(f"{error.status} {error.code}: {error.message}")
