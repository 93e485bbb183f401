"""A made-up conversation in the form of LoCoMo's files."""

from __future__ import annotations

import json
from pathlib import Path

Sample = dict[str, object]


def sample(name: str, categories: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Sample:
    """Give two sessions of three turns, and a question of each of these categories."""
    said = (
        ("Otto bought a red canoe.", "It was cheap?", "It cost ninety crowns."),
        ("Otto sold the canoe.", "Who has it now?", "Nora keeps it in her barn."),
    )
    conversation: Sample = {"speaker_a": "Otto", "speaker_b": "Nora"}
    for number, turns in enumerate(said, 1):
        conversation[f"session_{number}_date_time"] = f"1:56 pm on {number} May, 2023"
        conversation[f"session_{number}"] = [
            {"speaker": "Nora" if place == 1 else "Otto", "dia_id": f"D{number}:{place + 1}", "text": text}
            for place, text in enumerate(turns)
        ]
    asked = {
        1: ("What became of the canoe?", ["D1:1; D2:1", "D2:3"]),
        2: ("When did Otto buy a canoe?", ["D1:1"]),
        3: ("Is Otto fond of boats?", ["D1:1"]),
        4: ("Where is the canoe kept?", ["D:2:3"]),
        5: ("What did Nora pay for the canoe?", ["D1:3"]),
    }
    questions = [
        {"question": asked[number][0], "answer": "?", "evidence": asked[number][1], "category": number}
        for number in categories
    ]
    return {"sample_id": name, "conversation": conversation, "qa": questions}


def written(file: Path, content: object) -> Path:
    """Write a file of this content, and give it back."""
    file.write_text(json.dumps(content), encoding="utf-8")
    return file
