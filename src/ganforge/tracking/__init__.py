"""Tracking with MLflow: the trainer writes a journal, and another process uploads it, during the run or by ``ganforge sync``."""
