"""How far Conveyor goes with many workers and shards: what a call costs is measured, and what follows is modelled."""
