"""The only folders that import Ray and Optuna. `vgsearch.commands` imports them; nothing else may.

Importing this package sets the environment variables that Ray reads when it is imported.
"""

import os

HIDDEN_GPUS = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"
"""With "1" a task that requests no GPU sees none: else its networks would go to the first GPU of its node."""
# Values that the user has set take precedence.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # Workers may wait for a node to be added, started and installed; impossible requests were refused before.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1800",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Else each node serves its metrics on all interfaces, to anyone: that port asks for no token.
    "RAY_enable_metrics_collection": "0",
    HIDDEN_GPUS: "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # A pruned trial may upload for minutes before its process can run the next one, which Ray Tune else gives up after
    # 2 s without a word to the study: the search would wait for it for ever.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "86400",
    "RAY_AIR_NEW_OUTPUT": "0",
}


for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
