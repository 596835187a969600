"""Three invented cases in the published form of ArchEHR-QA 2025: XML, key, submission.

Note text is wrapped inside sentences, indices count inside paragraphs, elements begin and end
with line breaks, as in the shared task's own example.
"""

import json
from xml.sax.saxutils import escape

CASES = {
    "1": {
        "narrative": "My father had his gallbladder duct looked at. Why was that needed?",
        "question": "Why was ERCP recommended?",
        "paragraphs": [
            ["Brief Hospital Course:"],
            [
                "Bilirubin rose to 6.1 and the common\nbile duct was dilated.",
                "ERCP removed two stones.",
                "He ate well.",
                "He ate well.",
            ],
        ],
        "labels": ["not-relevant", "essential", "essential", "supplementary", "not-relevant"],
    },
    "2": {
        "narrative": "Was the blood thinner really safe & needed?",
        "question": "Why was heparin given?",
        "paragraphs": [
            ["HISTORY:", "CT showed a pulmonary embolus < 2 cm."],
            ["Heparin was started.", "No bleeding."],
        ],
        "labels": ["not-relevant", "essential", "supplementary", "not-relevant"],
    },
    "3": {
        "narrative": "What now?",
        "question": "What follow-up was arranged?",
        "paragraphs": [["Clinic in two weeks."]],
        "labels": ["essential"],
    },
}

SUBMISSION = {
    "1": "The duct was dilated. |1|\nStones were removed. |2,3|",
    "2": "CT showed an embolus. |1|\nHeparin was given. |2,x|",
    "3": "A visit was planned.",
}


def case_xml(name, case):
    sentences, number = [], 0
    for paragraph, texts in enumerate(case["paragraphs"]):
        start = 0
        for text in texts:
            sentences.append(
                f'<sentence id="{number}" paragraph_id="{paragraph}" start_char_index="{start}">\n'
                f"{escape(text)}\n            </sentence>"
            )
            number, start = number + 1, start + len(text) + 1
    excerpt = "\n\n".join(" ".join(texts) for texts in case["paragraphs"])
    return f"""
    <case id="{name}">
        <patient_narrative>\n{escape(case["narrative"])}\n        </patient_narrative>
        <patient_question>
            <phrase id="0" start_char_index="0">\n{escape(case["narrative"])}\n</phrase>
        </patient_question>
        <clinician_question>\n{escape(case["question"])}\n        </clinician_question>
        <note_excerpt>\n{escape(excerpt)}\n        </note_excerpt>
        <note_excerpt_sentences>{"".join(sentences)}</note_excerpt_sentences>
    </case>"""


def write_xml(folder, text=None):
    path = folder / "archehr-qa.xml"
    cases = "".join(case_xml(name, case) for name, case in CASES.items())
    path.write_text(text or f"<annotations>{cases}\n</annotations>\n")
    return path


def key_rows():
    return [
        {
            "case_id": name,
            "answers": [
                {"sentence_id": str(n), "relevance": label}
                for n, label in enumerate(case["labels"])
            ],
        }
        for name, case in CASES.items()
    ]


def write_key(folder, rows=None):
    path = folder / "archehr-qa_key.json"
    path.write_text(json.dumps(key_rows() if rows is None else rows))
    return path


def write_answers(folder, rows=None):
    path = folder / "submission.json"
    rows = [{"case_id": n, "answer": a} for n, a in SUBMISSION.items()] if rows is None else rows
    path.write_text(json.dumps(rows))
    return path
