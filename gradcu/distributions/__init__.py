"""`gradcu.distributions`: distributions of numbers and vectors, their samples, densities and divergences."""

from . import constraints as constraints, transforms as transforms
from .bernoulli import (
    Bernoulli as Bernoulli,
    Binomial as Binomial,
    Geometric as Geometric,
    NegativeBinomial as NegativeBinomial,
)
from .categorical import (
    Categorical as Categorical,
    Multinomial as Multinomial,
    OneHotCategorical as OneHotCategorical,
    OneHotCategoricalStraightThrough as OneHotCategoricalStraightThrough,
)
from .cauchy import Cauchy as Cauchy, HalfCauchy as HalfCauchy
from .constraint_registry import biject_to as biject_to, transform_to as transform_to
from .dirichlet import Beta as Beta, Dirichlet as Dirichlet, Kumaraswamy as Kumaraswamy
from .distribution import Distribution as Distribution
from .exponential import Exponential as Exponential, Laplace as Laplace
from .extreme import Gumbel as Gumbel, Pareto as Pareto, Weibull as Weibull
from .gamma import (
    Chi2 as Chi2,
    FisherSnedecor as FisherSnedecor,
    Gamma as Gamma,
    InverseGamma as InverseGamma,
    StudentT as StudentT,
)
from .independent import Independent as Independent
from .kl import kl_divergence as kl_divergence, register_kl as register_kl
from .mixture_same_family import MixtureSameFamily as MixtureSameFamily
from .multivariate_normal import MultivariateNormal as MultivariateNormal
from .normal import HalfNormal as HalfNormal, LogNormal as LogNormal, Normal as Normal
from .poisson import Poisson as Poisson
from .relaxed import (
    ExpRelaxedCategorical as ExpRelaxedCategorical,
    LogitRelaxedBernoulli as LogitRelaxedBernoulli,
    RelaxedBernoulli as RelaxedBernoulli,
    RelaxedOneHotCategorical as RelaxedOneHotCategorical,
)
from .transformed_distribution import TransformedDistribution as TransformedDistribution
from .transforms import (
    AbsTransform as AbsTransform,
    AffineTransform as AffineTransform,
    ComposeTransform as ComposeTransform,
    CumulativeDistributionTransform as CumulativeDistributionTransform,
    ExpTransform as ExpTransform,
    IndependentTransform as IndependentTransform,
    LowerCholeskyTransform as LowerCholeskyTransform,
    PowerTransform as PowerTransform,
    ReshapeTransform as ReshapeTransform,
    SigmoidTransform as SigmoidTransform,
    SoftmaxTransform as SoftmaxTransform,
    SoftplusTransform as SoftplusTransform,
    StickBreakingTransform as StickBreakingTransform,
    TanhTransform as TanhTransform,
    Transform as Transform,
    identity_transform as identity_transform,
)
from .uniform import Uniform as Uniform
from .von_mises import VonMises as VonMises
