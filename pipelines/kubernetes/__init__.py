"""The engine `argo`: workflows as objects of a Kubernetes cluster, where Argo's controller runs them.

Pure: what is put there (`submission`, `spelling`, `versions`, `policy`), what its status says (`reading`, `kinds/`),
what of it is new (`sightings`, `mirroring`), what is changed there (`control_changes`, `retrying`, `resubmitting`).

The host of a platform: `creating` and `submitting` put runs there, `watching`, `looking` and `receiving` follow all
that are there, `obeying` and `requests` do what they are asked. `foreground` and `following` stay with one run to its
end. Kubernetes itself is behind `retrain.kube`.
"""
