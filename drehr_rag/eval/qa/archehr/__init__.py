"""ArchEHR-QA 2025 (Soni and Demner-Fushman): cases and key, submissions, scores."""
