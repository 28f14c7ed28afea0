"""What a cluster file must hold before money is spent on it: read with its lines, judged by rules, told as findings.

`check_text` is the way in. Two readers, `launcher` (`ray up`) and `kuberay` (RayJob, RayCluster), make one `Plan` of either
file; rules that both share judge plans, those of one provider its own document. Nothing here imports ray or reaches a network.
"""
