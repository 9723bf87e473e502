"""MLflow by journal and shipper: the trainer writes to a run folder, another process delivers, at once or by ``ganforge sync``."""
