"""The node and its cluster, emulated: one node holds everything; others are names in a list."""

from typing import Any

from qdrant_client import models

ME = 1
"""This node's number among the peers."""


class Node:
    """What a server tells of itself.

    Args:
        engine: The collections; methods are named as the client's calls.
        peers: Nodes of the cluster; 1 is a server without one.
    """

    def __init__(self, engine: Any, *, peers: int) -> None:
        self.engine, self.peers = engine, peers
        self._shard_keys: dict[str, list[Any]] = {}

    def root(self, **_: Any) -> Any:
        return self.engine.local.info()

    def healthz(self, **_: Any) -> str:
        return "healthz check passed"

    livez = readyz = healthz

    def telemetry(self, **_: Any) -> Any:
        app = {"name": "qdrant", "version": self.root().version, "startup": "2026-11-21T00:00:00Z"}
        collections = {"number_of_collections": len(self.engine.made)}
        return {"id": "loopback", "app": app, "collections": collections}

    def cluster_status(self, **_: Any) -> Any:
        if self.peers == 1:
            return {"status": "disabled"}
        numbers = range(ME, ME + self.peers)
        raft = {"term": 1, "commit": 1, "pending_operations": 0, "leader": ME, "role": "Leader"}
        return {
            "status": "enabled",
            "peer_id": ME,
            "peers": {str(peer): {"uri": f"http://node-{peer}:6335/"} for peer in numbers},
            "raft_info": {**raft, "is_voter": True},
            "consensus_thread_status": {
                "consensus_thread_status": "working",
                "last_update": "2026-11-21T00:00:00Z",
            },
            "message_send_failures": {},
        }

    def collection_cluster_info(self, name: str, **_: Any) -> Any:
        name = self.engine.existing(name)
        shards = self.engine.made[name].shard_number or self.peers
        points = self.engine.local.count(name).count
        mine, others = [], []
        for shard in range(shards):
            count = points // shards + (shard < points % shards)
            peer = ME + shard % self.peers
            known = {"shard_id": shard, "state": "Active"}
            if peer == ME:
                mine.append({**known, "points_count": count})
            else:
                others.append({**known, "peer_id": peer})
        shown = {"local_shards": mine, "remote_shards": others, "shard_transfers": []}
        return {"peer_id": ME, "shard_count": shards, **shown}

    def create_shard_key(self, name: str, *, body: models.CreateShardingKey, **_: Any) -> Any:
        self._shard_keys.setdefault(self.engine.existing(name), []).append(body.shard_key)
        return True

    def list_shard_keys(self, name: str, **_: Any) -> Any:
        keys = self._shard_keys.get(self.engine.existing(name), [])
        return {"shard_keys": [{"key": key} for key in keys]}
