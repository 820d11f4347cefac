-- What the shop began with.
create table products (
    id bigint primary key,
    name text not null,
    price_cents integer not null check (price_cents >= 0)
);
create table orders (
    id bigint primary key,
    product bigint not null references products,
    ordered_at timestamptz not null
);
insert into products values (1, 'Rubber duck', 499), (2, 'Umbrella', 1999), (3, 'Lighthouse', 4999);
insert into orders values (1, 2, '2026-03-01 10:00+00'), (2, 1, '2026-03-02 11:30+00'), (3, 3, '2026-03-19 08:15+00');
