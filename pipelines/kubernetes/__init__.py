"""The engine `argo`: workflows as objects of a Kubernetes cluster, where Argo's controller runs them.

`submission` and `reading` are pure: what is put there, and what its status says. `following` watches a Workflow to its
end, `foreground` does all of it for one run. Kubernetes itself is behind `retrain.kube`.
"""
