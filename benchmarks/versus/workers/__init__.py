"""One process a measurement. All but `ours*` run where drehr_rag is not installed."""
