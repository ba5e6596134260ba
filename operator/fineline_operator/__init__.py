"""Watches Fineline's resources on a cluster and starts Jobs for them.

watching, queue      when to look: events and the clock
evaluations/         CheckpointEvals: observe, decide, act
jobs/                the Job and its pods: made from a plan, read back into plain values
api                  the one module that asks the API server
leadership, health   staying alive: one replica acts, the kubelet and Prometheus are answered
"""
