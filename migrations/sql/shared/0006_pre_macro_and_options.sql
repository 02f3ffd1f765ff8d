-- depends: 0005_pre_replays_and_settings

create table macro_factors (
    factor text not null,
    period_start date not null,
    released_at timestamptz not null,
    value float8,
    unit text not null,
    frequency text not null check (frequency in ('daily', 'weekly', 'monthly', 'quarterly', 'yearly')),
    provider text not null check (provider <> ''),
    updated_at timestamptz not null default now(),
    primary key (factor, period_start, released_at)
);

comment on table macro_factors is 'Economic series as they were known at each time: a revised figure is a new row with its own released_at, so that a back-test does not see the future.';
comment on column macro_factors.factor is 'Name of the series at its provider, as in CPIAUCSL, DGS10.';
comment on column macro_factors.period_start is 'First day of the period that the figure describes.';
comment on column macro_factors.released_at is 'When the figure became public, UTC.';
comment on column macro_factors.value is 'The figure, in unit; null if it was published as missing.';
comment on column macro_factors.unit is 'What the figure counts, as in percent, index, usd_billions.';
comment on column macro_factors.frequency is 'Length of the period: daily, weekly, monthly, quarterly or yearly.';
comment on column macro_factors.provider is 'Who delivered it.';
comment on column macro_factors.updated_at is 'When the row was last written, by the clock of the database.';

create table options_metrics (
    underlying text not null,
    ts timestamptz not null,
    contract text not null,
    expiry date not null,
    strike float8 not null check (strike > 0 and strike < 'Infinity'),
    put_call text not null check (put_call in ('put', 'call')),
    bid float8,
    ask float8,
    last float8,
    volume float8 check (volume >= 0),
    open_interest int8 check (open_interest >= 0),
    implied_vol float8 check (implied_vol >= 0),
    delta float8,
    gamma float8,
    theta float8,
    vega float8,
    rho float8,
    underlying_price float8,
    provider text not null check (provider <> ''),
    feed text not null default '',
    model text not null default '',
    updated_at timestamptz not null default now(),
    constraint options_metrics_delta check (delta between -1 and 1),
    primary key (underlying, ts, contract, provider, feed)
);

comment on table options_metrics is 'Snapshots of option contracts: prices, implied volatility and Greeks. Hypertable with 7-day chunks where TimescaleDB is.';
comment on column options_metrics.underlying is 'Canonical symbol of the underlying.';
comment on column options_metrics.ts is 'Time of the snapshot at its source, UTC.';
comment on column options_metrics.contract is 'OCC symbol without padding, as in AAPL270115C00200000.';
comment on column options_metrics.expiry is 'Last day of the contract, in the time zone of its market.';
comment on column options_metrics.strike is 'Strike price of one unit of the underlying, in quote currency.';
comment on column options_metrics.put_call is 'put or call.';
comment on column options_metrics.bid is 'Best bid for one unit of the underlying, in quote currency; null if there is none.';
comment on column options_metrics.ask is 'Best ask for one unit of the underlying, in quote currency; null if there is none.';
comment on column options_metrics.last is 'Last price for one unit of the underlying, in quote currency; null if there is none.';
comment on column options_metrics.volume is 'Contracts traded since the session began.';
comment on column options_metrics.open_interest is 'Contracts open at the end of the session before.';
comment on column options_metrics.implied_vol is 'Annualised; 0.25 is 25 %.';
comment on column options_metrics.delta is 'Change of the price for a change of the underlying by one.';
comment on column options_metrics.gamma is 'Change of delta for a change of the underlying by one.';
comment on column options_metrics.theta is 'Change of the price for a calendar day.';
comment on column options_metrics.vega is 'Change of the price for a change of implied_vol by 0.01.';
comment on column options_metrics.rho is 'Change of the price for a change of the interest rate by 0.01.';
comment on column options_metrics.underlying_price is 'Price of the underlying that the Greeks were computed with, in quote currency.';
comment on column options_metrics.provider is 'Who delivered it.';
comment on column options_metrics.feed is 'Which of the provider''s feeds; empty if it has one only.';
comment on column options_metrics.model is 'Model behind implied_vol and the Greeks, with its version; empty if the provider does not say.';
comment on column options_metrics.updated_at is 'When the row was last written, by the clock of the database.';
