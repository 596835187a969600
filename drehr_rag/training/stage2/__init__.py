"""Stage 2: the entities that a chunk states or implies, from a language model or from people.

```text
chunks ── asking.py ──► a request for each type ── prompts/*.md ──► server
             │                                                        │
             │◄── replies.py (bullets) or json_replies.py ◄───────────┘
             │         └── entities.py: what is an entity, and why others are refused
             ▼
          Outcome ──► drehr_rag.training.building

annotations/*.py ──► notes with labels ── placing.py ──► chunks with entities ──► the same files
```
"""
