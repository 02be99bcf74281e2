"""The unknown queue: unmapped values, kept byte for byte and counted until someone decides."""
