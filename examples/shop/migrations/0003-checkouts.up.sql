-- The new checkout keeps what a customer has begun.
create table checkouts (
    id bigint generated always as identity primary key,
    product bigint not null references products,
    begun_at timestamptz not null default now()
);
insert into products values (4, 'Gift wrapping', 150);
