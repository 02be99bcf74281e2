"""The relay: a small process beside Alertmanager, which cannot sign, that signs its notifications and hands them on."""
