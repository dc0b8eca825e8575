"""The pipeline of one run: plan, look, release, commit, report."""
