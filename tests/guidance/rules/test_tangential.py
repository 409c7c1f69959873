import torch

from guidance_geometry.guidance.rules.tangential import leading_direction


def test_where_nothing_leads_u_stays():
    u, c = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    w, k = leading_direction(u, c)
    assert w.tolist() == [1.0, 1.0]
    assert k.tolist() == [0.0, 0.0]
