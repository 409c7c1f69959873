"""Published formats of denoisers and classifiers, as networks with what their files say of them."""
