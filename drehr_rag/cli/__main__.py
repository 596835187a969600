"""`python -m drehr_rag.cli`."""

from drehr_rag.cli import main

main()
