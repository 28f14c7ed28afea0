"""Check a cluster file before it costs money: rules report findings with line numbers.

Start at `check_text`. Two readers, `launcher` (files for `ray up`) and `kuberay` (RayJob, RayCluster), turn either
file into one `ClusterPlan` for the rules that both share; other rules read the document of their tool. Nothing here
imports ray or uses the network.
"""
